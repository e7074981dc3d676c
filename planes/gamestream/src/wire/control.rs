//! The control stream's messages (gamestream.md §6).

/// A message of a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientMessage<'a> {
    /// 0x0302: Start A, and every later request for a keyframe.
    Keyframe,
    /// 0x0307: Start B.
    Started,
    /// 0x0200: the periodic ping.
    Ping,
    /// 0x0301: the frames `first..=last` are lost.
    Invalidate {
        /// First lost one, as counted in video packets.
        first: u32,
        /// Last lost one.
        last: u32,
    },
    /// 0x0350: a frame marked as long-term reference arrived.
    LongTermReceived {
        /// Its index.
        frame: u32,
    },
    /// 0x0201: loss statistics of old clients.
    LossStats {
        /// The newest frame that arrived whole.
        last_good: u64,
    },
    /// 0x5502: how FEC did in one block.
    FecStatus(FecStatus),
    /// 0x0206: one input packet (gamestream.md §7).
    Input(&'a [u8]),
    /// Anything else; ignored.
    Unknown(u16),
}

/// How a block of one frame arrived (gamestream.md §6.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FecStatus {
    /// Frame.
    pub frame: u32,
    /// Packets missing before the highest that arrived.
    pub missing: u16,
    /// Data packets of the block.
    pub data: u16,
    /// Recovery packets of the block.
    pub recovery: u16,
    /// Data packets that arrived.
    pub received_data: u16,
    /// Recovery packets that arrived.
    pub received_recovery: u16,
    /// Block of the frame.
    pub block: u8,
    /// Blocks of the frame.
    pub blocks: u8,
}
