//! Text inputs and input methods: smithay's, with an ear of ours on what they say (`server/text_input.rs`).
//!
//! Two things are looked at first, of which smithay 0.7 would break: numbers of text inputs that mean nothing are unwrapped,
//! and a second input method makes the first one believe that it is refused, and takes it along when it ends.

use smithay::reexports::wayland_protocols::wp::text_input::zv3::server::zwp_text_input_manager_v3::ZwpTextInputManagerV3;
use smithay::reexports::wayland_protocols::wp::text_input::zv3::server::zwp_text_input_v3::{self, ZwpTextInputV3};
use smithay::reexports::wayland_protocols_misc::zwp_input_method_v2::server::zwp_input_method_keyboard_grab_v2::{
    self, ZwpInputMethodKeyboardGrabV2,
};
use smithay::reexports::wayland_protocols_misc::zwp_input_method_v2::server::zwp_input_method_manager_v2::{
    self, ZwpInputMethodManagerV2,
};
use smithay::reexports::wayland_protocols_misc::zwp_input_method_v2::server::zwp_input_method_v2::{
    self, ZwpInputMethodV2,
};
use smithay::reexports::wayland_protocols_misc::zwp_input_method_v2::server::zwp_input_popup_surface_v2::{
    self, ZwpInputPopupSurfaceV2,
};
use smithay::reexports::wayland_server::backend::ClientId;
use smithay::reexports::wayland_server::{
    Client, DataInit, Dispatch, DisplayHandle, WEnum, delegate_dispatch, delegate_global_dispatch,
};
use smithay::wayland::input_method::{
    InputMethodKeyboardUserData, InputMethodManagerGlobalData, InputMethodManagerState,
    InputMethodPopupSurfaceUserData, InputMethodUserData,
};
use smithay::wayland::text_input::{TextInputManagerState, TextInputUserData};

use crate::server::state::State;

delegate_global_dispatch!(State: [ZwpTextInputManagerV3: ()] => TextInputManagerState);
delegate_dispatch!(State: [ZwpTextInputManagerV3: ()] => TextInputManagerState);

impl Dispatch<ZwpTextInputV3, TextInputUserData> for State {
    fn request(
        state: &mut Self,
        client: &Client,
        input: &ZwpTextInputV3,
        request: zwp_text_input_v3::Request,
        data: &TextInputUserData,
        display: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        use zwp_text_input_v3::Request;
        let unknown = match &request {
            Request::SetTextChangeCause { cause } => matches!(cause, WEnum::Unknown(_)),
            Request::SetContentType { hint, purpose } => {
                matches!(hint, WEnum::Unknown(_)) || matches!(purpose, WEnum::Unknown(_))
            }
            _ => false,
        };
        // Programs of a later version of the protocol may say more than we know; it only helps an input method.
        if !unknown {
            state.text_inputs.hear(input, &request);
            <TextInputManagerState as Dispatch<_, _, Self>>::request(
                state, client, input, request, data, display, init,
            );
        }
    }

    fn destroyed(state: &mut Self, client: ClientId, input: &ZwpTextInputV3, data: &TextInputUserData) {
        state.text_inputs.forget(input);
        <TextInputManagerState as Dispatch<_, _, Self>>::destroyed(state, client, input, data);
    }
}

delegate_global_dispatch!(State: [ZwpInputMethodManagerV2: InputMethodManagerGlobalData] => InputMethodManagerState);
delegate_dispatch!(State: [ZwpInputMethodKeyboardGrabV2: InputMethodKeyboardUserData<Self>] => InputMethodManagerState);
delegate_dispatch!(State: [ZwpInputPopupSurfaceV2: InputMethodPopupSurfaceUserData] => InputMethodManagerState);

impl Dispatch<ZwpInputMethodManagerV2, ()> for State {
    fn request(
        state: &mut Self,
        client: &Client,
        manager: &ZwpInputMethodManagerV2,
        request: zwp_input_method_manager_v2::Request,
        data: &(),
        display: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        let request = match request {
            zwp_input_method_manager_v2::Request::GetInputMethod { input_method, .. } if state.text_inputs.method => {
                return init.init(input_method, Refused).unavailable();
            }
            request => request,
        };
        if let zwp_input_method_manager_v2::Request::GetInputMethod { .. } = &request {
            // From here on smithay tells. Programs enable their text inputs anew for it.
            state.text_inputs.retire();
            state.text_inputs.method = true;
        }
        <InputMethodManagerState as Dispatch<_, _, Self>>::request(
            state, client, manager, request, data, display, init,
        );
    }
}

impl Dispatch<ZwpInputMethodV2, InputMethodUserData<Self>> for State {
    fn request(
        state: &mut Self,
        client: &Client,
        method: &ZwpInputMethodV2,
        request: zwp_input_method_v2::Request,
        data: &InputMethodUserData<Self>,
        display: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        <InputMethodManagerState as Dispatch<_, _, Self>>::request(state, client, method, request, data, display, init);
    }

    fn destroyed(state: &mut Self, client: ClientId, method: &ZwpInputMethodV2, data: &InputMethodUserData<Self>) {
        state.text_inputs.method = false;
        <InputMethodManagerState as Dispatch<_, _, Self>>::destroyed(state, client, method, data);
    }
}

/// An input method beside another one, and what it makes: nothing happens with it.
pub struct Refused;

impl Dispatch<ZwpInputMethodV2, Refused> for State {
    fn request(
        _: &mut Self,
        _: &Client,
        _: &ZwpInputMethodV2,
        request: zwp_input_method_v2::Request,
        _: &Refused,
        _: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        match request {
            zwp_input_method_v2::Request::GetInputPopupSurface { id, .. } => drop(init.init(id, Refused)),
            zwp_input_method_v2::Request::GrabKeyboard { keyboard } => drop(init.init(keyboard, Refused)),
            _ => {}
        }
    }
}

impl Dispatch<ZwpInputPopupSurfaceV2, Refused> for State {
    fn request(
        _: &mut Self,
        _: &Client,
        _: &ZwpInputPopupSurfaceV2,
        _: zwp_input_popup_surface_v2::Request,
        _: &Refused,
        _: &DisplayHandle,
        _: &mut DataInit<'_, Self>,
    ) {
    }
}

impl Dispatch<ZwpInputMethodKeyboardGrabV2, Refused> for State {
    fn request(
        _: &mut Self,
        _: &Client,
        _: &ZwpInputMethodKeyboardGrabV2,
        _: zwp_input_method_keyboard_grab_v2::Request,
        _: &Refused,
        _: &DisplayHandle,
        _: &mut DataInit<'_, Self>,
    ) {
    }
}
