//! The messages of `/dev/uhid`, as `linux/uhid.h` lays them out: packed, in the machine's byte order. The kernel fills up
//! what is written short, and reads whole messages only.

use super::super::sony::Identity;

/// `sizeof(struct uhid_event)`: the largest message is the one that makes a device.
pub(super) const EVENT_BYTES: usize = 4 + 128 + 64 + 64 + 2 + 2 + 4 * 4 + DATA_MAX;

/// What the kernel says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FromKernel<'a> {
    /// A driver or a program opened the device, or its driver is ready.
    Opened,
    /// An output report, id first.
    Output(&'a [u8]),
    /// A report is asked for; the kernel waits for the answer with this number.
    GetReport { request: u32, id: u8, kind: u8 },
    /// A report is set; the kernel waits for the answer with this number.
    SetReport { request: u32, kind: u8, data: &'a [u8] },
    /// Nothing that a pad must do anything about.
    Other,
}

impl<'a> FromKernel<'a> {
    /// Reads one message; what the kernel cut short counts as zeros.
    pub fn read(message: &'a [u8]) -> Self {
        let u32_at = |at: usize| message.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_ne_bytes);
        let u16_at = |at: usize| message.get(at..at + 2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_ne_bytes);
        let u8_at = |at: usize| message.get(at).copied().unwrap_or(0);
        let data = |at: usize, len: u16| {
            let rest = message.get(at..).unwrap_or_default();
            &rest[..rest.len().min(len.into()).min(DATA_MAX)]
        };
        match u32_at(0) {
            UHID_START | UHID_OPEN => Self::Opened,
            UHID_OUTPUT => Self::Output(data(4, u16_at(4 + DATA_MAX))),
            UHID_GET_REPORT => Self::GetReport { request: u32_at(4), id: u8_at(8), kind: u8_at(9) },
            UHID_SET_REPORT => Self::SetReport { request: u32_at(4), kind: u8_at(9), data: data(12, u16_at(10)) },
            _ => Self::Other,
        }
    }
}

/// Makes a device.
pub(super) fn create(identity: &Identity, uniq: &str, phys: &str) -> Vec<u8> {
    let mut message = Vec::with_capacity(EVENT_BYTES);
    message.extend_from_slice(&UHID_CREATE2.to_ne_bytes());
    for (text, size) in [(identity.name, 128), (phys, 64), (uniq, 64)] {
        let end = message.len() + size;
        // The last byte stays zero.
        message.extend(text.bytes().take(size - 1));
        message.resize(end, 0);
    }
    let descriptor = &identity.descriptor[..identity.descriptor.len().min(DATA_MAX)];
    message.extend_from_slice(&(descriptor.len() as u16).to_ne_bytes());
    message.extend_from_slice(&BUS_USB.to_ne_bytes());
    for number in [identity.vendor, identity.product, identity.version, 0] {
        message.extend_from_slice(&u32::from(number).to_ne_bytes());
    }
    message.extend_from_slice(descriptor);
    message.resize(EVENT_BYTES, 0);
    message
}

/// Writes an input report into `message`.
pub(super) fn input(message: &mut Vec<u8>, report: &[u8]) {
    let report = &report[..report.len().min(DATA_MAX)];
    message.clear();
    message.extend_from_slice(&UHID_INPUT2.to_ne_bytes());
    message.extend_from_slice(&(report.len() as u16).to_ne_bytes());
    message.extend_from_slice(report);
}

/// Answers [`FromKernel::GetReport`]; `None` = there is no such report.
pub(super) fn get_report_reply(request: u32, report: Option<&[u8]>) -> Vec<u8> {
    let data = report.unwrap_or_default();
    let data = &data[..data.len().min(DATA_MAX)];
    let error = if report.is_some() { 0 } else { EIO };
    let mut message = UHID_GET_REPORT_REPLY.to_ne_bytes().to_vec();
    message.extend_from_slice(&request.to_ne_bytes());
    message.extend_from_slice(&error.to_ne_bytes());
    message.extend_from_slice(&(data.len() as u16).to_ne_bytes());
    message.extend_from_slice(data);
    message
}

/// Answers [`FromKernel::SetReport`]: taken.
pub(super) fn set_report_reply(request: u32) -> Vec<u8> {
    let mut message = UHID_SET_REPORT_REPLY.to_ne_bytes().to_vec();
    message.extend_from_slice(&request.to_ne_bytes());
    message.extend_from_slice(&0_u16.to_ne_bytes());
    message
}

pub(super) const FEATURE_REPORT: u8 = 0;
pub(super) const OUTPUT_REPORT: u8 = 1;

/// `UHID_DATA_MAX` and `HID_MAX_DESCRIPTOR_SIZE`.
const DATA_MAX: usize = 4096;
const UHID_START: u32 = 2;
const UHID_OPEN: u32 = 4;
const UHID_OUTPUT: u32 = 6;
const UHID_GET_REPORT: u32 = 9;
const UHID_GET_REPORT_REPLY: u32 = 10;
const UHID_CREATE2: u32 = 11;
const UHID_INPUT2: u32 = 12;
const UHID_SET_REPORT: u32 = 13;
const UHID_SET_REPORT_REPLY: u32 = 14;
const BUS_USB: u16 = 3;
const EIO: u16 = 5;

#[cfg(test)]
mod tests {
    use super::super::super::sony::SonyPad;
    use super::*;
    use punktfunk_media::PadKind;

    /// Offsets as a C compiler gives them for linux/uhid.h.
    #[test]
    fn a_device_is_laid_out_as_the_header_says() {
        let pad = SonyPad::new(PadKind::DualSense, [0; 6]).expect("Sony's");
        let message = create(pad.identity(), "uniq", &"p".repeat(100));
        assert_eq!((message.len(), EVENT_BYTES), (4376, 4376));
        assert_eq!(message[..4], 11_u32.to_ne_bytes());
        assert!(message[4..].starts_with(b"Sony Interactive") && message[131] == 0);
        assert_eq!((&message[132..195], message[195]), (&[b'p'; 63][..], 0));
        assert_eq!(message[196..201], *b"uniq\0");
        assert_eq!(message[260..264], [273_u16.to_ne_bytes(), 3_u16.to_ne_bytes()].concat()[..]);
        assert_eq!(message[264..272], [0x054c_u32.to_ne_bytes(), 0x0ce6_u32.to_ne_bytes()].concat()[..]);
        assert_eq!(message[280..284], [5, 1, 9, 5]);
    }

    #[test]
    fn what_the_kernel_says_is_read() {
        let mut output = vec![0; EVENT_BYTES];
        output[..4].copy_from_slice(&6_u32.to_ne_bytes());
        output[4..7].copy_from_slice(&[2, 3, 4]);
        output[4100..4102].copy_from_slice(&3_u16.to_ne_bytes());
        assert_eq!(FromKernel::read(&output), FromKernel::Output(&[2, 3, 4]));
        let get = [&9_u32.to_ne_bytes()[..], &77_u32.to_ne_bytes(), &[5, 0]].concat();
        assert_eq!(FromKernel::read(&get), FromKernel::GetReport { request: 77, id: 5, kind: 0 });
        let set =
            [&13_u32.to_ne_bytes()[..], &78_u32.to_ne_bytes(), &[2, 1], &2_u16.to_ne_bytes(), &[2, 9, 9]].concat();
        assert_eq!(FromKernel::read(&set), FromKernel::SetReport { request: 78, kind: 1, data: &[2, 9] });
        assert_eq!(FromKernel::read(&2_u32.to_ne_bytes()), FromKernel::Opened);
    }

    #[test]
    fn answers_are_laid_out_as_the_header_says() {
        let reply = [&10_u32.to_ne_bytes()[..], &7_u32.to_ne_bytes(), &[0, 0], &2_u16.to_ne_bytes(), &[5, 6]].concat();
        assert_eq!(get_report_reply(7, Some(&[5, 6])), reply);
        assert_eq!(get_report_reply(7, None)[8..10], 5_u16.to_ne_bytes());
        let mut message = vec![1; 3];
        input(&mut message, &[9; 64]);
        assert_eq!(
            (message.len(), &message[..7]),
            (70, &[&12_u32.to_ne_bytes()[..], &64_u16.to_ne_bytes(), &[9]].concat()[..])
        );
        assert_eq!(set_report_reply(3).len(), 10);
    }

    #[test]
    fn no_message_of_any_length_panics() {
        for kind in 0..20_u32 {
            for len in [0, 1, 4, 5, 9, 10, 12, 13, 4099, 4101, EVENT_BYTES] {
                let mut message = vec![0xff; len.max(4)];
                message[..4].copy_from_slice(&kind.to_ne_bytes());
                let _ = FromKernel::read(&message[..len]);
            }
        }
    }
}
