//! Which GPU this host uses: what was asked for, looked up once among those of the machine.

use punktfunk_desktop::gpus;
use punktfunk_media::{Gpu, GpuChoice, GpuInUse, GpuTrouble, reason};
use punktfunk_mgmt::{GpuUse, GpuView};

use crate::cli::GpuName;

/// Looks up what the configuration asks for. What cannot be had is logged and told, and the host goes on as if nobody had
/// chosen: a GPU that was taken out must not keep anybody from streaming.
#[must_use]
pub fn settle(name: &GpuName) -> GpuInUse {
    match find(name, &gpus()) {
        Ok(choice) => {
            if let GpuChoice::One(gpu) = &choice {
                tracing::info!(node = %gpu.node.display(), bus = gpu.bus, driver = gpu.driver, "GPU");
            }
            GpuInUse::new(choice)
        }
        Err(trouble) => {
            tracing::warn!(
                fix = trouble.reason.fix,
                "{} {}: going on as with video.gpu = auto",
                trouble.reason,
                trouble.detail
            );
            GpuInUse::instead(trouble)
        }
    }
}

/// Whether this can be had now.
///
/// # Errors
/// `gpu.missing`, `gpu.closed`.
pub fn check(name: &GpuName) -> Result<(), GpuTrouble> {
    find(name, &gpus()).map(drop)
}

fn find(name: &GpuName, gpus: &[Gpu]) -> Result<GpuChoice, GpuTrouble> {
    let found = match name {
        GpuName::Auto => return Ok(GpuChoice::Auto),
        GpuName::None => return Ok(GpuChoice::None),
        GpuName::Node(node) => gpus.iter().find(|gpu| gpu.node.file_name().is_some_and(|name| name == node.as_str())),
        GpuName::Bus(bus) => gpus.iter().find(|gpu| gpu.bus == *bus),
    };
    let Some(gpu) = found else {
        let there: Vec<_> = gpus.iter().map(|gpu| format!("{} at {}", gpu.node.display(), gpu.bus)).collect();
        let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
        return Err(GpuTrouble { reason: &reason::GPU_MISSING, detail: format!("`{name}`; there are: {there}") });
    };
    match &gpu.closed {
        None => Ok(GpuChoice::One(gpu.clone())),
        Some(why) => Err(GpuTrouble { reason: &reason::GPU_CLOSED, detail: format!("{}: {why}", gpu.node.display()) }),
    }
}

/// Those of this machine, as the API tells of them. `desktop` is the name of the desktop that is streamed, if it is known.
#[must_use]
pub fn views(in_use: &GpuInUse, desktop: Option<&str>) -> Vec<GpuView> {
    let chosen = match in_use.choice() {
        GpuChoice::One(chosen) => Some(chosen),
        GpuChoice::Auto | GpuChoice::None => None,
    };
    gpus().iter().map(|gpu| view(gpu, chosen.filter(|c| c.node == gpu.node).map(|_| uses(in_use, desktop)))).collect()
}

/// What the chosen one does. A running session has a GPU of its own choice.
fn uses(in_use: &GpuInUse, desktop: Option<&str>) -> Vec<GpuUse> {
    let draws = desktop == Some("private-sway") && in_use.trouble().is_none();
    let private = desktop.is_some_and(|name| name.starts_with("private-"));
    let tells = private && punktfunk_desktop::programs_are_told(in_use.choice());
    [draws.then_some(GpuUse::Desktop), tells.then_some(GpuUse::Programs)].into_iter().flatten().collect()
}

/// `uses`: of the chosen one.
fn view(gpu: &Gpu, uses: Option<Vec<GpuUse>>) -> GpuView {
    GpuView {
        node: gpu.node.display().to_string(),
        bus: gpu.bus.clone(),
        vendor: gpu.vendor.map_or_else(String::new, vendor_name),
        device: gpu.device.map_or_else(String::new, |id| format!("{id:04x}")),
        driver: gpu.driver.clone(),
        usable: gpu.closed.is_none(),
        detail: gpu.closed.clone().unwrap_or_default(),
        chosen: uses.is_some(),
        used_for: uses.unwrap_or_default(),
    }
}

/// The vendors of GPUs by their PCI ids (<https://pci-ids.ucw.cz>); others by the id itself.
fn vendor_name(id: u16) -> String {
    match id {
        0x1002 => "AMD".to_owned(),
        0x10de => "NVIDIA".to_owned(),
        0x8086 => "Intel".to_owned(),
        0x1af4 => "virtio".to_owned(),
        0x15ad => "VMware".to_owned(),
        other => format!("{other:04x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu(number: u32, bus: &str, closed: Option<&str>) -> Gpu {
        Gpu {
            node: format!("/dev/dri/renderD{number}").into(),
            bus: bus.to_owned(),
            vendor: Some(0x1002),
            device: Some(0x744c),
            driver: "amdgpu".to_owned(),
            closed: closed.map(str::to_owned),
        }
    }

    fn found(text: &str) -> Result<GpuChoice, (&'static str, String)> {
        let there = [gpu(128, "0000:01:00.0", None), gpu(129, "0000:02:00.0", Some("Permission denied"))];
        find(&text.parse().expect("a name"), &there).map_err(|e| (e.reason.code, e.detail))
    }

    #[test]
    fn a_gpu_is_found_by_its_node_and_by_its_bus() {
        assert_eq!((found("auto"), found("none")), (Ok(GpuChoice::Auto), Ok(GpuChoice::None)));
        let first = Ok(GpuChoice::One(gpu(128, "0000:01:00.0", None)));
        for text in
            ["renderD128", "/dev/dri/renderD128", "0000:01:00.0", "01:00.0", "/dev/dri/by-path/pci-0000:01:00.0-render"]
        {
            assert_eq!(found(text), first, "{text}");
        }
    }

    #[test]
    fn one_that_is_not_there_or_closed_is_refused_with_what_there_is() {
        let (code, detail) = found("0000:03:00.0").expect_err("no such GPU");
        assert_eq!(code, "gpu.missing");
        assert!(detail.contains("/dev/dri/renderD128 at 0000:01:00.0, /dev/dri/renderD129"), "{detail}");
        assert_eq!(found("renderD129"), Err(("gpu.closed", "/dev/dri/renderD129: Permission denied".to_owned())));
        let nothing = find(&GpuName::Node("renderD128".to_owned()), &[]).expect_err("nothing there");
        assert!(nothing.detail.ends_with("there are: none"), "{}", nothing.detail);
    }

    #[test]
    fn what_it_is_used_for_depends_on_the_desktop() {
        let one = GpuInUse::new(GpuChoice::One(gpu(128, "0000:01:00.0", None)));
        assert_eq!(uses(&one, Some("private-sway")), [GpuUse::Desktop, GpuUse::Programs]);
        assert_eq!(uses(&one, Some("private-builtin")), [GpuUse::Programs]);
        assert_eq!((uses(&one, Some("sway")), uses(&one, None)), (vec![], vec![]));
        one.tell(GpuTrouble { reason: &reason::GPU_FAILED, detail: String::new() });
        assert_eq!(uses(&one, Some("private-sway")), [GpuUse::Programs]);
        let elsewhere = GpuInUse::new(GpuChoice::One(gpu(128, "vgem", None)));
        assert_eq!(uses(&elsewhere, Some("private-sway")), [GpuUse::Desktop]);
        let shown = view(&gpu(128, "0000:01:00.0", None), Some(vec![GpuUse::Programs]));
        assert_eq!([&*shown.vendor, &*shown.device, &*shown.driver], ["AMD", "744c", "amdgpu"]);
        assert!(shown.chosen && !view(&gpu(129, "", None), None).chosen);
    }
}
