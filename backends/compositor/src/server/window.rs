//! A window of the desktop, whichever protocol its program speaks.

use std::sync::{Arc, Mutex, PoisonError};

use smithay::backend::renderer::element::surface::{WaylandSurfaceRenderElement, render_elements_from_surface_tree};
use smithay::backend::renderer::element::{AsRenderElements, Kind};
use smithay::backend::renderer::pixman::PixmanRenderer;
use smithay::backend::renderer::utils::with_renderer_surface_state;
use smithay::desktop::space::{RenderZindex, SpaceElement};
use smithay::desktop::utils::under_from_surface_tree;
use smithay::desktop::{Window, WindowSurfaceType};
use smithay::output::Output;
use smithay::reexports::wayland_protocols::xdg::shell::server::xdg_toplevel;
use smithay::reexports::wayland_server::protocol::wl_surface::WlSurface;
use smithay::utils::{IsAlive, Logical, Physical, Point, Rectangle, Scale, Size};
use smithay::wayland::compositor::with_states;
use smithay::wayland::foreign_toplevel_list::ForeignToplevelHandle;
use smithay::wayland::shell::xdg::{SurfaceCachedState, ToplevelSurface, XdgToplevelSurfaceData};
use smithay::xwayland::X11Surface;
use smithay::xwayland::xwm::WmWindowType;

use super::focus::KeyFocus;

/// A window.
#[derive(Clone, Debug, PartialEq)]
pub enum AppWindow {
    /// A toplevel of xdg-shell.
    Wayland(Window, Arc<WindowMemory>),
    /// A window of an X11 program.
    X11(Arc<X11Window>),
}

/// What we keep with a window.
#[derive(Debug)]
pub struct WindowMemory {
    /// Unique in this desktop's life.
    pub id: u64,
    /// How other programs see it; menus and tooltips of X11 programs are not told to anybody.
    pub listed: Option<ForeignToplevelHandle>,
    /// Where a person put it; it lies where the desktop puts it if `None`.
    by_hand: Mutex<Option<ByHand>>,
}

/// Where a person put a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ByHand {
    /// Its corner.
    pub corner: Point<i32, Logical>,
    /// Its size, where it would fill the room otherwise.
    pub size: Option<Size<i32, Logical>>,
}

impl PartialEq for WindowMemory {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl WindowMemory {
    /// Of a new window.
    pub fn new(id: u64, listed: Option<ForeignToplevelHandle>) -> Arc<Self> {
        Arc::new(Self { id, listed, by_hand: Mutex::default() })
    }

    /// See the field.
    pub fn by_hand(&self) -> Option<ByHand> {
        *self.by_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A person put it there, or it goes back to where the desktop puts it.
    pub fn put(&self, by_hand: Option<ByHand>) {
        *self.by_hand.lock().unwrap_or_else(PoisonError::into_inner) = by_hand;
    }
}

/// An X11 window and the surface that Xwayland draws it on.
#[derive(Debug)]
pub struct X11Window {
    /// The X server's side of it.
    pub x11: X11Surface,
    /// What we keep with it.
    pub memory: Arc<WindowMemory>,
    /// Linked by us: smithay links none for an Xwayland before 23.1.
    surface: Mutex<Option<WlSurface>>,
}

impl PartialEq for X11Window {
    fn eq(&self, other: &Self) -> bool {
        self.x11 == other.x11
    }
}

impl X11Window {
    /// Without a surface.
    pub fn new(x11: X11Surface, memory: Arc<WindowMemory>) -> Arc<Self> {
        Arc::new(Self { x11, memory, surface: Mutex::default() })
    }

    /// What it is drawn on, while that exists.
    pub fn surface(&self) -> Option<WlSurface> {
        self.surface.lock().unwrap_or_else(PoisonError::into_inner).clone().filter(IsAlive::alive)
    }

    /// Links it to a surface, or to none.
    pub fn link(&self, surface: Option<WlSurface>) {
        *self.surface.lock().unwrap_or_else(PoisonError::into_inner) = surface;
    }
}

impl AppWindow {
    /// What we keep with it.
    pub fn memory(&self) -> &WindowMemory {
        match self {
            Self::Wayland(_, memory) => memory,
            Self::X11(window) => &window.memory,
        }
    }

    /// Its main surface.
    pub fn surface(&self) -> Option<WlSurface> {
        match self {
            Self::Wayland(window, _) => window.toplevel().map(|t| t.wl_surface().clone()),
            Self::X11(window) => window.surface(),
        }
    }

    /// The toplevel, where it is one of xdg-shell.
    pub fn toplevel(&self) -> Option<&ToplevelSurface> {
        match self {
            Self::Wayland(window, _) => window.toplevel(),
            Self::X11(_) => None,
        }
    }

    /// What gets the keyboard with it.
    pub fn key_focus(&self) -> Option<KeyFocus> {
        match self {
            Self::Wayland(..) => self.surface().map(KeyFocus::Wayland),
            Self::X11(window) => Some(KeyFocus::X11(Box::new(window.x11.clone()), window.surface()?)),
        }
    }

    /// A menu or tooltip of an X11 program: it lies where the program puts it and takes no keyboard.
    pub fn is_unmanaged(&self) -> bool {
        matches!(self, Self::X11(window) if window.x11.is_override_redirect())
    }

    /// Whether it has something to show.
    pub fn shows(&self) -> bool {
        let shown = self.surface().and_then(|s| with_renderer_surface_state(&s, |state| state.buffer().is_some()));
        shown == Some(true)
    }

    /// The part of it that counts, from the corner of its surface.
    pub fn geometry(&self) -> Rectangle<i32, Logical> {
        SpaceElement::geometry(self)
    }

    /// Whether it fills the output.
    pub fn is_fullscreen(&self) -> bool {
        match self {
            Self::Wayland(window, _) => {
                window.toplevel().is_some_and(|t| t.current_state().states.contains(xdg_toplevel::State::Fullscreen))
            }
            Self::X11(window) => window.x11.is_fullscreen(),
        }
    }

    /// Dialogs, and windows that can have only one size: they keep it, and lie above the others.
    pub fn floats(&self) -> bool {
        let (least, most, dialog) = match self {
            Self::Wayland(window, _) => {
                let Some(toplevel) = window.toplevel() else { return false };
                let (least, most) = with_states(toplevel.wl_surface(), |states| {
                    let mut cached = states.cached_state.get::<SurfaceCachedState>();
                    let current = cached.current();
                    (current.min_size, current.max_size)
                });
                (least, most, toplevel.parent().is_some())
            }
            Self::X11(window) => {
                let x11 = &window.x11;
                let kind = x11.window_type();
                let dialog = x11.is_transient_for().is_some()
                    || x11.is_popup()
                    || !matches!(kind, None | Some(WmWindowType::Normal));
                (x11.min_size().unwrap_or_default(), x11.max_size().unwrap_or_default(), dialog)
            }
        };
        let one_size = |size: Size<i32, Logical>| size.w > 0 && size.h > 0;
        dialog || (one_size(least) && least == most)
    }

    /// Whether `other` is a dialog of this one.
    pub fn is_parent_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Wayland(..), Self::Wayland(child, _)) => {
                child.toplevel().and_then(ToplevelSurface::parent).is_some_and(|p| Some(p) == self.surface())
            }
            (Self::X11(parent), Self::X11(child)) => child.x11.is_transient_for() == Some(parent.x11.window_id()),
            _ => false,
        }
    }

    /// Title and application id, as the program says them.
    pub fn names(&self) -> (String, String) {
        match self {
            Self::Wayland(window, _) => window.toplevel().map(toplevel_names).unwrap_or_default(),
            Self::X11(window) => (window.x11.title(), window.x11.class()),
        }
    }

    /// Tells the program whether the window is the one in use.
    pub fn set_activated(&self, activated: bool) {
        match self {
            Self::Wayland(window, _) => {
                window.set_activated(activated);
                if let Some(toplevel) = window.toplevel().filter(|t| t.is_initial_configure_sent()) {
                    toplevel.send_pending_configure();
                }
            }
            Self::X11(window) => {
                // A server that is gone takes its windows along in a moment.
                let _ = window.x11.set_activated(activated);
            }
        }
    }

    /// Asks the program to close it.
    pub fn close(&self) {
        match self {
            Self::Wayland(window, _) => window.toplevel().into_iter().for_each(ToplevelSurface::send_close),
            Self::X11(window) => {
                let _ = window.x11.close();
            }
        }
    }

    /// The surface under a point that is relative to the corner of the window's surface, and where its own corner is.
    pub fn surface_under(&self, at: Point<f64, Logical>) -> Option<(WlSurface, Point<i32, Logical>)> {
        match self {
            Self::Wayland(window, _) => window.surface_under(at, WindowSurfaceType::ALL),
            Self::X11(window) => under_from_surface_tree(&window.surface()?, at, (0, 0), WindowSurfaceType::ALL),
        }
    }
}

/// Title and application id of a toplevel.
pub fn toplevel_names(toplevel: &ToplevelSurface) -> (String, String) {
    with_states(toplevel.wl_surface(), |states| {
        let data = states.data_map.get::<XdgToplevelSurfaceData>().and_then(|d| d.lock().ok());
        data.map(|d| (d.title.clone().unwrap_or_default(), d.app_id.clone().unwrap_or_default())).unwrap_or_default()
    })
}

impl IsAlive for AppWindow {
    fn alive(&self) -> bool {
        match self {
            Self::Wayland(window, _) => window.alive(),
            Self::X11(window) => window.x11.alive(),
        }
    }
}

impl SpaceElement for AppWindow {
    fn geometry(&self) -> Rectangle<i32, Logical> {
        match self {
            Self::Wayland(window, _) => window.geometry(),
            Self::X11(window) => Rectangle::from_size(window.x11.geometry().size),
        }
    }

    fn bbox(&self) -> Rectangle<i32, Logical> {
        match self {
            Self::Wayland(window, _) => SpaceElement::bbox(window),
            Self::X11(window) => Rectangle::from_size(window.x11.geometry().size),
        }
    }

    fn is_in_input_region(&self, point: &Point<f64, Logical>) -> bool {
        self.surface_under(*point).is_some()
    }

    fn z_index(&self) -> u8 {
        match self.is_unmanaged() {
            true => RenderZindex::Overlay as u8,
            false => RenderZindex::Shell as u8,
        }
    }

    fn set_activate(&self, activated: bool) {
        self.set_activated(activated);
    }

    fn output_enter(&self, output: &Output, overlap: Rectangle<i32, Logical>) {
        match self {
            Self::Wayland(window, _) => window.output_enter(output, overlap),
            Self::X11(window) => window.surface().iter().for_each(|surface| output.enter(surface)),
        }
    }

    fn output_leave(&self, output: &Output) {
        match self {
            Self::Wayland(window, _) => window.output_leave(output),
            Self::X11(window) => window.surface().iter().for_each(|surface| output.leave(surface)),
        }
    }

    fn refresh(&self) {
        if let Self::Wayland(window, _) = self {
            window.refresh();
        }
    }
}

impl AsRenderElements<PixmanRenderer> for AppWindow {
    type RenderElement = WaylandSurfaceRenderElement<PixmanRenderer>;

    fn render_elements<C: From<Self::RenderElement>>(
        &self,
        renderer: &mut PixmanRenderer,
        location: Point<i32, Physical>,
        scale: Scale<f64>,
        alpha: f32,
    ) -> Vec<C> {
        match self {
            Self::Wayland(window, _) => window.render_elements(renderer, location, scale, alpha),
            Self::X11(window) => {
                let draw =
                    |s| render_elements_from_surface_tree(renderer, &s, location, scale, alpha, Kind::Unspecified);
                window.surface().map(draw).unwrap_or_default()
            }
        }
    }
}
