//! Drawing: what is on the output, into the memory that was lent, only where it changed.

use std::time::Duration;

use pixman::Image;
use smithay::backend::renderer::element::memory::MemoryRenderBufferRenderElement;
use smithay::backend::renderer::element::surface::{WaylandSurfaceRenderElement, render_elements_from_surface_tree};
use smithay::backend::renderer::element::{
    Id, Kind, RenderElement, RenderElementStates, default_primary_scanout_output_compare, render_elements,
};
use smithay::backend::renderer::pixman::{PixmanError, PixmanRenderer};
use smithay::backend::renderer::utils::{Buffer, with_renderer_surface_state};
use smithay::backend::renderer::{Bind, Color32F, Frame as _, Renderer as _, TextureFilter};
use smithay::desktop::space::{SpaceRenderElements, space_render_elements};
use smithay::desktop::utils::{
    OutputPresentationFeedback, send_frames_surface_tree, surface_presentation_feedback_flags_from_states,
    surface_primary_scanout_output, take_presentation_feedback_surface_tree, update_surface_primary_scanout_output,
    with_surfaces_surface_tree,
};
use smithay::desktop::{PopupManager, layer_map_for_output};
use smithay::reexports::wayland_protocols::wp::presentation_time::server::wp_presentation_feedback;
use smithay::reexports::wayland_server::protocol::wl_surface::WlSurface;
use smithay::utils::{Clock, Monotonic, Physical, Point, Rectangle, Scale, Size, Transform};
use smithay::wayland::compositor::SurfaceAttributes;
use smithay::wayland::presentation::Refresh;

use punktfunk_media::Damage;

use super::direct;
use super::hosts::Hosts;
use super::screen::{Slot, told};
use super::state::State;
use super::window::AppWindow;
use crate::wire::FrameNote;

render_elements! {
    /// One thing to draw.
    pub Element<=PixmanRenderer>;
    /// A window or layer.
    Space=SpaceRenderElements<PixmanRenderer, WaylandSurfaceRenderElement<PixmanRenderer>>,
    /// A cursor or drag icon that a program draws.
    Surface=WaylandSurfaceRenderElement<PixmanRenderer>,
    /// A cursor of ours.
    Memory=MemoryRenderBufferRenderElement<PixmanRenderer>,
}

impl State {
    /// Something is to be drawn. `surface`: whose commit it was.
    pub(super) fn changed(&mut self, surface: Option<&WlSurface>) {
        let wants_callback = surface.is_some_and(waits_for_callback);
        self.pacer.changed(wants_callback);
    }

    /// The pointer's surface has new content, which is not in the picture.
    pub(super) fn cursor_committed(&mut self, surface: &WlSurface) {
        self.apart.reshaped();
        match waits_for_callback(surface) {
            false => {}
            true if self.is_apart(surface) => self.pacer.waits(),
            true => self.pacer.hidden_waits(),
        }
    }

    /// Draws into the slot that was lent first, if anything changed, and tells the consumer.
    pub(super) fn draw(&mut self, hosts: &mut Hosts) {
        let Some(index) = self.screen.next_lent() else { return self.pacer.set_credits(0) };
        let elements = self.elements();
        let (damage, states) = match self.screen.tracker.damage_output(1, &elements) {
            Ok((damage, states)) => (damage.cloned().unwrap_or_default(), states),
            // The output always has a mode.
            Err(_) => return self.pacer.unchanged(),
        };
        self.screen.note_damage(&damage);
        let told = if self.screen.first { Damage::Full } else { told(&damage) };
        if damage.is_empty() && !self.screen.first {
            self.pacer.unchanged();
            self.present(&states);
            return self.barriers_drawn();
        }
        let (drawn, converted_in) = self.fill(index, &elements);
        let note =
            FrameNote { generation: self.screen.generation(), index: index as u32, drawn, converted_in, damage: told };
        hosts.send_frame(&note);
        self.screen.filled();
        self.pacer.drawn();
        self.present(&states);
        self.barriers_drawn();
    }

    /// Fills a slot with the picture. Says when it was drawn, and how long making planes of it took after that.
    fn fill(&mut self, index: usize, elements: &[Element]) -> (Duration, Duration) {
        let now = || Duration::from(Clock::<Monotonic>::new().now());
        let (size, scale) = (self.screen.size, self.scale);
        let whole = self.whole_picture(elements);
        // The picture is drawn as far as it goes; what is wrong with it is drawn anew next time.
        let broken = |error: &dyn std::fmt::Display, missing: &mut Vec<_>| {
            tracing::debug!("drawing: {error}");
            missing.push(Rectangle::from_size(size));
        };
        match self.screen.parts(index) {
            Some((renderer, Slot::Packed(packed))) => {
                let missing = std::mem::take(&mut packed.missing);
                let canvas = Canvas::new(&mut packed.image, size, missing);
                if let Err(error) = paint(renderer, canvas, scale, elements) {
                    broken(&error, &mut packed.missing);
                }
                return (now(), Duration::ZERO);
            }
            Some((_, Slot::Planes(planes))) => {
                if let Some(buffer) = whole {
                    let started = now();
                    match direct::convert(&buffer, size, planes) {
                        Ok(true) => return (started, now().saturating_sub(started)),
                        // Not a picture as it seemed.
                        Ok(false) => {}
                        Err(error) => broken(&error, &mut planes.missing),
                    }
                }
            }
            None => return (now(), Duration::ZERO),
        }
        match self.screen.parts_with_scratch(index) {
            Ok(Some((renderer, scratch, planes))) => {
                let missing = std::mem::take(&mut scratch.missing);
                let painted = paint(renderer, Canvas::new(&mut scratch.image, size, missing), scale, elements);
                let started = now();
                let converted = planes.convert(&scratch.layout, &scratch.map);
                if let Err(error) = painted {
                    broken(&error, &mut scratch.missing);
                    // Drawn anew there, it is to be converted anew as well.
                    broken(&error, &mut planes.missing);
                }
                if let Err(error) = converted {
                    broken(&error, &mut planes.missing);
                }
                (started, now().saturating_sub(started))
            }
            Ok(None) => (now(), Duration::ZERO),
            Err(error) => {
                tracing::warn!("no memory to draw in: {error}");
                (now(), Duration::ZERO)
            }
        }
    }

    /// The buffer of the program that is the whole picture, if one is: it fills the output pixel by pixel, nothing lies above
    /// it, and nothing shows through.
    fn whole_picture(&self, elements: &[Element]) -> Option<Buffer> {
        use smithay::backend::renderer::element::Element as _;
        let front = elements.first()?;
        let surface = self.space.elements().next_back()?.surface()?;
        if *front.id() != Id::from_wayland_resource(&surface) || front.alpha() < 1.0 {
            return None;
        }
        let scale = Scale::from(self.scale);
        let all = Rectangle::from_size(self.screen.size);
        let source = Rectangle::from_size((f64::from(all.size.w), f64::from(all.size.h)).into());
        let as_it_is = front.geometry(scale) == all && front.src() == source && front.transform() == Transform::Normal;
        let opaque = Rectangle::subtract_rects_many([all], front.opaque_regions(scale)).is_empty();
        if !as_it_is || !opaque {
            return None;
        }
        with_renderer_surface_state(&surface, |state| state.buffer().cloned())?
    }

    /// Everything on the output, front first.
    fn elements(&mut self) -> Vec<Element> {
        let scale = self.scale;
        let renderer = &mut self.screen.renderer;
        let mut elements = Vec::new();
        if !self.apart.is_on() {
            elements = self.cursor.elements(renderer, self.pointer.location, scale);
        }
        if let Some(icon) = &self.drag_icon {
            let place = self.pointer.location.to_physical(scale).to_i32_round();
            let icon = render_elements_from_surface_tree(renderer, icon, place, scale, 1.0, Kind::Unspecified);
            elements.extend::<Vec<Element>>(icon);
        }
        match space_render_elements(renderer, [&self.space], &self.output, 1.0) {
            Ok(windows) => elements.extend(windows.into_iter().map(Element::Space)),
            Err(error) => tracing::debug!("the output has no mode: {error}"),
        }
        elements
    }

    /// Lets everything draw that is seen; what is not seen goes on at a crawl.
    pub(super) fn send_callbacks(&mut self) {
        self.release_barriers();
        let now = Duration::from(Clock::<Monotonic>::new().now());
        let mut left = false;
        self.for_each_surface(|state, surface| {
            let apart = state.is_apart(surface);
            send_frames_surface_tree(surface, &state.output, now, Some(HIDDEN_EVERY), |surface, data| match apart {
                true => Some(state.output.clone()),
                false => surface_primary_scanout_output(surface, data),
            });
            left |= waits_for_callback(surface);
        });
        if left {
            self.pacer.hidden_waits();
        }
    }

    /// Tells programs that what they committed is seen.
    fn present(&mut self, states: &RenderElementStates) {
        let mut feedback = OutputPresentationFeedback::new(&self.output);
        self.for_each_surface(|state, surface| {
            with_surfaces_surface_tree(surface, |surface, data| {
                update_surface_primary_scanout_output(
                    surface,
                    &state.output,
                    data,
                    states,
                    default_primary_scanout_output_compare,
                );
            });
            take_presentation_feedback_surface_tree(
                surface,
                &mut feedback,
                surface_primary_scanout_output,
                |surface, _| surface_presentation_feedback_flags_from_states(surface, states),
            );
        });
        let refresh = Refresh::variable(self.pacer.period());
        let now = Clock::<Monotonic>::new().now();
        feedback.presented(now, refresh, self.screen.sequence, wp_presentation_feedback::Kind::empty());
    }

    /// The root surface of everything that may be seen: windows, layers, their popups, the cursor, what is dragged.
    fn for_each_surface(&self, mut visit: impl FnMut(&Self, &WlSurface)) {
        let mut with_popups = |surface: &WlSurface| {
            visit(self, surface);
            for (popup, _) in PopupManager::popups_for_surface(surface) {
                visit(self, popup.wl_surface());
            }
        };
        for surface in self.space.elements().filter_map(AppWindow::surface) {
            with_popups(&surface);
        }
        for layer in layer_map_for_output(&self.output).layers() {
            with_popups(layer.wl_surface());
        }
        for surface in self.cursor.surface().into_iter().chain(&self.drag_icon) {
            with_popups(surface);
        }
        for surface in self.unmapped.iter().filter_map(AppWindow::surface) {
            with_popups(&surface);
        }
    }
}

/// Whether a surface or one of its children has asked for a frame callback.
fn waits_for_callback(surface: &WlSurface) -> bool {
    let mut waits = false;
    with_surfaces_surface_tree(surface, |_, states| {
        waits |= !states.cached_state.get::<SurfaceAttributes>().current().frame_callbacks.is_empty();
    });
    waits
}

/// What is drawn on.
pub struct Canvas<'a> {
    /// Packed pixels.
    pub image: &'a mut Image<'static, 'static>,
    /// Its size.
    pub size: Size<i32, Physical>,
    /// Where its picture is older than what is to be seen.
    pub missing: Vec<Rectangle<i32, Physical>>,
    /// The place of its corner among the elements.
    pub corner: Point<i32, Physical>,
    /// What is seen where nothing is.
    pub background: Color32F,
}

impl<'a> Canvas<'a> {
    /// The output's.
    fn new(
        image: &'a mut Image<'static, 'static>,
        size: Size<i32, Physical>,
        missing: Vec<Rectangle<i32, Physical>>,
    ) -> Self {
        Self { image, size, missing, corner: Point::default(), background: BACKGROUND }
    }
}

/// Draws everything, where it is missing.
pub fn paint(
    renderer: &mut PixmanRenderer,
    canvas: Canvas<'_>,
    scale: f64,
    elements: &[Element],
) -> Result<(), PixmanError> {
    use smithay::backend::renderer::element::Element as _;
    let Canvas { image, size, missing, corner, background } = canvas;
    // What each element leaves to those behind it.
    let mut behind = missing;
    let mut parts = Vec::with_capacity(elements.len());
    for element in elements {
        let mut place = element.geometry(scale.into());
        place.loc -= corner;
        let seen: Vec<_> = behind.iter().filter_map(|part| part.intersection(place)).collect();
        if seen.is_empty() {
            continue;
        }
        let opaque: Vec<_> = element.opaque_regions(scale.into()).into_iter().collect();
        let covered = opaque.iter().map(|part| Rectangle::new(part.loc + place.loc, part.size));
        behind = Rectangle::subtract_rects_many_in_place(behind, covered);
        parts.push((element, place, seen, opaque));
    }
    let mut target = renderer.bind(image)?;
    let mut cleared = false;
    let mut outcome = Ok(());
    // As many frames as there are elements with rims, and one more: how pictures are stretched holds for a whole frame.
    while !cleared || !parts.is_empty() {
        let mut frame = renderer.render(&mut target, size, Transform::Normal)?;
        if !std::mem::replace(&mut cleared, true) && !behind.is_empty() {
            outcome = outcome.and(frame.clear(background, &behind));
        }
        let mut rim = None;
        while let Some((element, place, mut seen, opaque)) = parts.pop() {
            let inside = inside(element, place);
            let outer = inside.map(|inside| Rectangle::subtract_rects_many(seen.iter().copied(), [inside]));
            if let Some(inside) = inside {
                seen = seen.iter().filter_map(|part| part.intersection(inside)).collect();
            }
            seen.iter_mut().for_each(|part| part.loc -= place.loc);
            // One that cannot be drawn (a program that took its memory back) leaves the others alone.
            outcome = outcome.and(element.draw(&mut frame, element.src(), place, &seen, &opaque));
            rim = outer.filter(|outer| !outer.is_empty()).map(|outer| (element, place, outer, opaque));
            if rim.is_some() {
                break;
            }
        }
        outcome = outcome.and(frame.finish().map(drop));
        let Some((element, place, mut outer, opaque)) = rim else { continue };
        outer.iter_mut().for_each(|part| part.loc -= place.loc);
        renderer.upscale_filter(TextureFilter::Nearest)?;
        let mut frame = renderer.render(&mut target, size, Transform::Normal)?;
        outcome = outcome.and(element.draw(&mut frame, element.src(), place, &outer, &opaque));
        outcome = outcome.and(frame.finish().map(drop));
        renderer.upscale_filter(TextureFilter::Linear)?;
    }
    outcome
}

/// Of an element that is stretched, what lies far enough inside for its pixels to be mixed of its own alone. pixman mixes the
/// pixels of its rim with nothing, which is black on one that is opaque, and what was there before on one that is not.
fn inside(element: &Element, place: Rectangle<i32, Physical>) -> Option<Rectangle<i32, Physical>> {
    use smithay::backend::renderer::element::Element as _;
    let source = element.transform().transform_size(element.src().size);
    let rim = |shown: i32, pixels: f64| {
        let stretched = f64::from(shown) / pixels.max(1.0);
        // No more than half of what is shown.
        if stretched > 1.0 { (stretched / 2.0).ceil() as i32 } else { 0 }
    };
    let (x, y) = (rim(place.size.w, source.w), rim(place.size.h, source.h));
    let size = ((place.size.w - 2 * x).max(0), (place.size.h - 2 * y).max(0));
    (x > 0 || y > 0).then(|| Rectangle::new(place.loc + Point::from((x, y)), size.into()))
}

/// Dark blue, as on the sway desktop (#16222e).
const BACKGROUND: Color32F = Color32F::new(0.086, 0.133, 0.18, 1.0);
/// Between frame callbacks of what nobody sees.
const HIDDEN_EVERY: Duration = Duration::from_secs(1);
