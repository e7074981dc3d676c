//! The outputs of a compositor, one of which is wanted.

use punktfunk_media::Transform;
use wayland_client::globals::{GlobalList, GlobalListContents};
use wayland_client::protocol::wl_output::{self, WlOutput};
use wayland_client::protocol::wl_registry::{self, WlRegistry};
use wayland_client::{Connection, Dispatch, QueueHandle, WEnum};

/// Every output that there is, and what became of the wanted one.
#[derive(Debug)]
pub struct Outputs {
    known: Vec<Known>,
    wanted: String,
    /// Counts changes of the wanted output's mode or transform.
    pub changes: u32,
    /// Counts what may have moved any output: place, mode, coming, going.
    pub layout_changes: u32,
    /// The wanted output was taken away.
    pub gone: bool,
}

#[derive(Debug)]
struct Known {
    /// Its name in the registry.
    global: u32,
    proxy: WlOutput,
    name: Option<String>,
    transform: Transform,
    /// Pixels in memory; (0, 0) before its mode is known.
    size: (u32, u32),
}

impl Outputs {
    /// Nothing known yet; `wanted` is a connector name, e.g. `HEADLESS-1`.
    #[must_use]
    pub fn wanting(wanted: &str) -> Self {
        Self { known: Vec::new(), wanted: wanted.to_owned(), changes: 0, layout_changes: 0, gone: false }
    }

    /// Binds every output in the list. Their names come with the next events: with two round trips, also those of
    /// outputs that appear during the first.
    pub fn bind_all<D>(&mut self, list: &GlobalList, handle: &QueueHandle<D>)
    where
        D: Dispatch<WlOutput, u32> + 'static,
    {
        for global in list.contents().clone_list().iter().filter(|g| g.interface == WL_OUTPUT) {
            self.add(list.registry(), global.name, global.version, handle);
        }
    }

    fn add<D>(&mut self, registry: &WlRegistry, global: u32, version: u32, handle: &QueueHandle<D>)
    where
        D: Dispatch<WlOutput, u32> + 'static,
    {
        let proxy = registry.bind(global, version.min(TELLS_ITS_NAME), handle, global);
        self.known.push(Known { global, proxy, name: None, transform: Transform::Normal, size: (0, 0) });
    }

    fn known(&self) -> Option<&Known> {
        self.known.iter().find(|o| o.name.as_deref() == Some(self.wanted.as_str()))
    }

    /// The wanted output, once its name was told.
    #[must_use]
    pub fn wanted(&self) -> Option<&WlOutput> {
        self.known().map(|o| &o.proxy)
    }

    /// How the wanted output is turned.
    #[must_use]
    pub fn transform(&self) -> Transform {
        self.known().map(|o| o.transform).unwrap_or_default()
    }

    /// Pixels of the wanted output as a person sees them (after the transform); `None` before its mode is known.
    #[must_use]
    pub fn size(&self) -> Option<(u32, u32)> {
        let output = self.known().filter(|o| o.size.0 > 0 && o.size.1 > 0)?;
        let (width, height) = output.size;
        Some(if is_sideways(output.transform) { (height, width) } else { (width, height) })
    }

    /// The names of all outputs, for messages.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.known.iter().filter_map(|o| o.name.as_deref()).collect()
    }

    fn on_output(&mut self, global: u32, event: wl_output::Event) {
        let Some(output) = self.known.iter_mut().find(|o| o.global == global) else { return };
        let before = (output.transform, output.size);
        match event {
            wl_output::Event::Name { name } => output.name = Some(name),
            wl_output::Event::Geometry { transform: turned, .. } => output.transform = transform(turned),
            wl_output::Event::Mode { flags: WEnum::Value(flags), width, height, .. }
                if flags.contains(wl_output::Mode::Current) =>
            {
                output.size = (width.unsigned_abs(), height.unsigned_abs());
            }
            _ => return,
        }
        let changed = (output.transform, output.size) != before;
        self.changes += u32::from(changed && output.name.as_deref() == Some(self.wanted.as_str()));
        self.layout_changes += 1;
    }
}

impl<D> Dispatch<WlRegistry, GlobalListContents, D> for Outputs
where
    D: Dispatch<WlRegistry, GlobalListContents> + Dispatch<WlOutput, u32> + AsMut<Outputs> + 'static,
{
    fn event(
        state: &mut D,
        registry: &WlRegistry,
        event: wl_registry::Event,
        _: &GlobalListContents,
        _: &Connection,
        handle: &QueueHandle<D>,
    ) {
        let outputs = state.as_mut();
        match event {
            wl_registry::Event::Global { name, interface, version } if interface == WL_OUTPUT => {
                outputs.add(registry, name, version, handle);
                outputs.layout_changes += 1;
            }
            wl_registry::Event::GlobalRemove { name } => {
                outputs.gone |= outputs.known().is_some_and(|o| o.global == name);
                let before = outputs.known.len();
                outputs.known.retain(|o| o.global != name);
                outputs.layout_changes += u32::from(outputs.known.len() != before);
            }
            _ => {}
        }
    }
}

impl<D> Dispatch<WlOutput, u32, D> for Outputs
where
    D: Dispatch<WlOutput, u32> + AsMut<Outputs>,
{
    fn event(state: &mut D, _: &WlOutput, event: wl_output::Event, global: &u32, _: &Connection, _: &QueueHandle<D>) {
        state.as_mut().on_output(*global, event);
    }
}

/// `wl_output.transform` in our words; an unknown value is taken as upright.
#[must_use]
pub fn transform(value: WEnum<wl_output::Transform>) -> Transform {
    use wl_output::Transform as Wire;
    match value {
        WEnum::Value(Wire::_90) => Transform::Rotate90,
        WEnum::Value(Wire::_180) => Transform::Rotate180,
        WEnum::Value(Wire::_270) => Transform::Rotate270,
        WEnum::Value(Wire::Flipped) => Transform::Flipped,
        WEnum::Value(Wire::Flipped90) => Transform::Flipped90,
        WEnum::Value(Wire::Flipped180) => Transform::Flipped180,
        WEnum::Value(Wire::Flipped270) => Transform::Flipped270,
        _ => Transform::Normal,
    }
}

/// Whether width and height are exchanged on the way to a person's eyes.
fn is_sideways(transform: Transform) -> bool {
    matches!(transform, Transform::Rotate90 | Transform::Rotate270 | Transform::Flipped90 | Transform::Flipped270)
}

const WL_OUTPUT: &str = "wl_output";
/// The first version of `wl_output` with the event `name`.
const TELLS_ITS_NAME: u32 = 4;
