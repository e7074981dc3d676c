//! Two protocols that say the same: `ext-data-control-v1` is `wlr-data-control-unstable-v1` after its standardisation.

use std::os::fd::BorrowedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use wayland_client::globals::GlobalList;
use wayland_client::protocol::wl_seat::WlSeat;
use wayland_client::{Connection, Dispatch, Proxy, QueueHandle, event_created_child};
use wayland_protocols::ext::data_control::v1::client as ext;
use wayland_protocols_wlr::data_control::v1::client as wlr;

use crate::link::State;

/// The names of a program's offer, as they come.
#[derive(Default)]
pub(crate) struct Names(Mutex<Vec<String>>);

impl Names {
    /// The names so far.
    pub fn get(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, name: String) {
        let mut names = self.get();
        if names.len() < MAX_NAMES && name.len() <= MAX_NAME_BYTES {
            names.push(name);
        }
    }
}

/// Which offer a source of ours stands for.
pub(crate) struct SourceOf(pub u32);

macro_rules! protocols {
    ($($Variant:ident: $root:ident,
       $manager:ident $Manager:ident, $device:ident $Device:ident, $source:ident $Source:ident, $offer:ident $Offer:ident;)*
    ) => {
        /// The way to the clipboard.
        #[derive(Clone)]
        pub(crate) enum Manager { $($Variant($root::$manager::$Manager),)* }

        /// The clipboard of a seat.
        #[derive(Clone)]
        pub(crate) enum Device { $($Variant($root::$device::$Device),)* }

        /// What we offer.
        #[derive(Clone, PartialEq)]
        pub(crate) enum Source { $($Variant($root::$source::$Source),)* }

        /// What a program offers.
        #[derive(Clone)]
        pub(crate) enum Offer { $($Variant($root::$offer::$Offer),)* }

        impl Manager {
            /// The first protocol that the compositor has.
            pub fn bind(list: &GlobalList, handle: &QueueHandle<State>) -> Option<Self> {
                $(if let Ok(manager) = list.bind(handle, 1..=1, ()) {
                    return Some(Self::$Variant(manager));
                })*
                None
            }

            pub fn device(&self, seat: &WlSeat, handle: &QueueHandle<State>) -> Device {
                match self { $(Self::$Variant(m) => Device::$Variant(m.get_data_device(seat, handle, ())),)* }
            }

            pub fn source(&self, offer: u32, handle: &QueueHandle<State>) -> Source {
                match self { $(Self::$Variant(m) => Source::$Variant(m.create_data_source(handle, SourceOf(offer))),)* }
            }
        }

        impl Device {
            pub fn select(&self, source: &Source) {
                match (self, source) {
                    $((Self::$Variant(device), Source::$Variant(source)) => device.set_selection(Some(source)),)*
                    // One manager makes all of them.
                    _ => {}
                }
            }
        }

        impl Source {
            pub fn offer(&self, name: &str) {
                match self { $(Self::$Variant(source) => source.offer(name.to_owned()),)* }
            }

            pub fn destroy(&self) {
                match self { $(Self::$Variant(source) => source.destroy(),)* }
            }
        }

        impl Offer {
            pub fn names(&self) -> Vec<String> {
                let names = match self { $(Self::$Variant(offer) => offer.data::<Names>(),)* };
                names.map(|names| names.get().clone()).unwrap_or_default()
            }

            pub fn receive(&self, name: &str, into: BorrowedFd<'_>) {
                match self { $(Self::$Variant(offer) => offer.receive(name.to_owned(), into),)* }
            }

            pub fn destroy(&self) {
                match self { $(Self::$Variant(offer) => offer.destroy(),)* }
            }
        }

        $(
            wayland_client::delegate_noop!(State: ignore $root::$manager::$Manager);

            impl Dispatch<$root::$device::$Device, ()> for State {
                fn event(
                    state: &mut Self,
                    _: &$root::$device::$Device,
                    event: $root::$device::Event,
                    (): &(),
                    _: &Connection,
                    _: &QueueHandle<Self>,
                ) {
                    use $root::$device::Event;
                    match event {
                        Event::Selection { id } => state.on_selection(id.map(Offer::$Variant)),
                        Event::PrimarySelection { id: Some(offer) } => offer.destroy(),
                        Event::Finished => state.on_finished(),
                        _ => {}
                    }
                }

                event_created_child!(State, $root::$device::$Device, [
                    $root::$device::EVT_DATA_OFFER_OPCODE => ($root::$offer::$Offer, Names::default())
                ]);
            }

            impl Dispatch<$root::$offer::$Offer, Names> for State {
                fn event(
                    _: &mut Self,
                    _: &$root::$offer::$Offer,
                    event: $root::$offer::Event,
                    names: &Names,
                    _: &Connection,
                    _: &QueueHandle<Self>,
                ) {
                    if let $root::$offer::Event::Offer { mime_type } = event {
                        names.add(mime_type);
                    }
                }
            }

            impl Dispatch<$root::$source::$Source, SourceOf> for State {
                fn event(
                    state: &mut Self,
                    source: &$root::$source::$Source,
                    event: $root::$source::Event,
                    of: &SourceOf,
                    _: &Connection,
                    _: &QueueHandle<Self>,
                ) {
                    use $root::$source::Event;
                    match event {
                        Event::Send { mime_type, fd } => state.on_send(of.0, &mime_type, fd),
                        Event::Cancelled => state.on_cancelled(&Source::$Variant(source.clone())),
                        _ => {}
                    }
                }
            }
        )*
    };
}

protocols! {
    Ext: ext,
    ext_data_control_manager_v1 ExtDataControlManagerV1, ext_data_control_device_v1 ExtDataControlDeviceV1,
    ext_data_control_source_v1 ExtDataControlSourceV1, ext_data_control_offer_v1 ExtDataControlOfferV1;
    Wlr: wlr,
    zwlr_data_control_manager_v1 ZwlrDataControlManagerV1, zwlr_data_control_device_v1 ZwlrDataControlDeviceV1,
    zwlr_data_control_source_v1 ZwlrDataControlSourceV1, zwlr_data_control_offer_v1 ZwlrDataControlOfferV1;
}

/// Office programs offer about forty.
const MAX_NAMES: usize = 256;
/// Longer ones mean nothing to us.
const MAX_NAME_BYTES: usize = 256;
