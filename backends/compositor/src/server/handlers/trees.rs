//! Trees that programs make of surfaces. smithay 0.7 walks them by recursion, or until it meets a root: none may be deep, go in
//! circles, or name a surface itself where another is meant. Who asks for that is cut off.

use smithay::reexports::wayland_protocols::xdg::foreign::zv2::server::zxdg_exported_v2::ZxdgExportedV2;
use smithay::reexports::wayland_protocols::xdg::foreign::zv2::server::zxdg_exporter_v2::{self, ZxdgExporterV2};
use smithay::reexports::wayland_protocols::xdg::foreign::zv2::server::zxdg_imported_v2::{self, ZxdgImportedV2};
use smithay::reexports::wayland_protocols::xdg::foreign::zv2::server::zxdg_importer_v2::ZxdgImporterV2;
use smithay::reexports::wayland_protocols::xdg::shell::server::xdg_wm_base;
use smithay::reexports::wayland_server::backend::ClientId;
use smithay::reexports::wayland_server::protocol::wl_callback::WlCallback;
use smithay::reexports::wayland_server::protocol::wl_compositor::WlCompositor;
use smithay::reexports::wayland_server::protocol::wl_region::WlRegion;
use smithay::reexports::wayland_server::protocol::wl_subcompositor::{self, WlSubcompositor};
use smithay::reexports::wayland_server::protocol::wl_subsurface::{self, WlSubsurface};
use smithay::reexports::wayland_server::protocol::wl_surface::WlSurface;
use smithay::reexports::wayland_server::{
    Client, DataInit, Dispatch, DisplayHandle, Resource as _, delegate_dispatch, delegate_global_dispatch,
};
use smithay::wayland::compositor::{
    CompositorState, RegionUserData, SubsurfaceUserData, SurfaceUserData, TraversalAction, get_parent, with_states,
    with_surface_tree_downward,
};
use smithay::wayland::shell::xdg::{PopupSurface, XdgPopupSurfaceData};
use smithay::wayland::xdg_foreign::{XdgExportedUserData, XdgForeignState, XdgImportedUserData};

use crate::server::state::State;

delegate_global_dispatch!(State: [WlCompositor: ()] => CompositorState);
delegate_global_dispatch!(State: [WlSubcompositor: ()] => CompositorState);
delegate_dispatch!(State: [WlCompositor: ()] => CompositorState);
delegate_dispatch!(State: [WlSurface: SurfaceUserData] => CompositorState);
delegate_dispatch!(State: [WlRegion: RegionUserData] => CompositorState);
delegate_dispatch!(State: [WlCallback: ()] => CompositorState);

impl Dispatch<WlSubcompositor, ()> for State {
    fn request(
        state: &mut Self,
        client: &Client,
        subcompositor: &WlSubcompositor,
        request: wl_subcompositor::Request,
        data: &(),
        display: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        if let wl_subcompositor::Request::GetSubsurface { surface, parent, .. } = &request
            && depth(parent) + height(surface) > DEEPEST
        {
            return subcompositor.post_error(wl_subcompositor::Error::BadParent, "surfaces are nested too deeply");
        }
        <CompositorState as Dispatch<_, _, Self>>::request(state, client, subcompositor, request, data, display, init);
    }
}

/// How many surfaces lie between this one and the root, itself included.
fn depth(surface: &WlSurface) -> usize {
    std::iter::successors(Some(surface.clone()), get_parent).take(DEEPEST + 1).count()
}

/// How deep the tree below a surface is, itself included. No tree is deeper than this looks: each was measured when it grew.
fn height(surface: &WlSurface) -> usize {
    let mut deepest = 1;
    let down = |_: &WlSurface, _: &_, depth: &usize| TraversalAction::DoChildren(depth + 1);
    with_surface_tree_downward(surface, 1, down, |_, _, depth| deepest = deepest.max(*depth), |_, _, _| true);
    deepest
}

impl Dispatch<WlSubsurface, SubsurfaceUserData> for State {
    fn request(
        state: &mut Self,
        client: &Client,
        subsurface: &WlSubsurface,
        request: wl_subsurface::Request,
        data: &SubsurfaceUserData,
        display: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        use wl_subsurface::Request;
        // It would be taken out of its siblings and put behind itself, where there is nothing.
        if let Request::PlaceAbove { sibling } | Request::PlaceBelow { sibling } = &request
            && sibling == data.surface()
        {
            return subsurface.post_error(wl_subsurface::Error::BadSurface, "a surface is no sibling of its own");
        }
        <CompositorState as Dispatch<_, _, Self>>::request(state, client, subsurface, request, data, display, init);
    }

    fn destroyed(state: &mut Self, client: ClientId, subsurface: &WlSubsurface, data: &SubsurfaceUserData) {
        <CompositorState as Dispatch<_, _, Self>>::destroyed(state, client, subsurface, data);
    }
}

/// Whether a new popup hangs on something. One in a circle, or too far down, is cut off with its program.
pub fn hangs_soundly(popup: &PopupSurface) -> bool {
    let parent = |surface: &WlSurface| {
        with_states(surface, |states| {
            states.data_map.get::<XdgPopupSurfaceData>().and_then(|data| data.lock().ok()?.parent.clone())
        })
    };
    let ancestors = std::iter::successors(popup.get_parent_surface(), parent);
    let sound = !ancestors.take(DEEPEST + 1).enumerate().any(|(n, s)| n == DEEPEST || s == *popup.wl_surface());
    if !sound {
        // Whatever still looks at it must not follow the circle.
        with_states(popup.wl_surface(), |states| {
            if let Some(mut data) = states.data_map.get::<XdgPopupSurfaceData>().and_then(|data| data.lock().ok()) {
                data.parent = None;
            }
        });
        let why = "a popup that is its own ancestor, or has too many";
        popup.xdg_popup().post_error(xdg_wm_base::Error::InvalidPopupParent, why);
    }
    sound
}

delegate_global_dispatch!(State: [ZxdgExporterV2: ()] => XdgForeignState);
delegate_global_dispatch!(State: [ZxdgImporterV2: ()] => XdgForeignState);
delegate_dispatch!(State: [ZxdgExportedV2: XdgExportedUserData] => XdgForeignState);
delegate_dispatch!(State: [ZxdgImporterV2: ()] => XdgForeignState);

/// Marks a surface that other programs were told of.
struct Exported;

impl Dispatch<ZxdgExporterV2, ()> for State {
    fn request(
        state: &mut Self,
        client: &Client,
        exporter: &ZxdgExporterV2,
        request: zxdg_exporter_v2::Request,
        data: &(),
        display: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        if let zxdg_exporter_v2::Request::ExportToplevel { surface, .. } = &request {
            with_states(surface, |states| states.data_map.insert_if_missing_threadsafe(|| Exported));
        }
        <XdgForeignState as Dispatch<_, _, Self>>::request(state, client, exporter, request, data, display, init);
    }
}

impl Dispatch<ZxdgImportedV2, XdgImportedUserData> for State {
    fn request(
        state: &mut Self,
        client: &Client,
        imported: &ZxdgImportedV2,
        request: zxdg_imported_v2::Request,
        data: &XdgImportedUserData,
        display: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        // A window as its own parent: smithay locks it twice and waits for ever, and tells nobody which window a handle means.
        // One that was exported itself stays without a parent, which only says where it lies.
        if let zxdg_imported_v2::Request::SetParentOf { surface } = &request
            && with_states(surface, |states| states.data_map.get::<Exported>().is_some())
        {
            return tracing::debug!("a window that was exported itself gets no parent of another program");
        }
        <XdgForeignState as Dispatch<_, _, Self>>::request(state, client, imported, request, data, display, init);
    }

    fn destroyed(state: &mut Self, client: ClientId, imported: &ZxdgImportedV2, data: &XdgImportedUserData) {
        <XdgForeignState as Dispatch<_, _, Self>>::destroyed(state, client, imported, data);
    }
}

/// Programs nest a handful. Every look at a tree walks it: thousands keep the desktop busy for minutes.
const DEEPEST: usize = 64;
