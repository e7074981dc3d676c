//! GF(2^16) Leopard through `reed-solomon-simd`, whose layout is the wire's (punktfunk1.md §5.5).

use reed_solomon_simd::engine::DefaultEngine;
use reed_solomon_simd::rate::{DefaultRateDecoder, DefaultRateEncoder, RateDecoder, RateEncoder};

use super::{Fec, FecError, FecScheme, ShardLayout, check_recover};

/// The library's code behind [`Fec`]. It copies shards in and out; its work space is kept between calls.
#[derive(Default)]
pub struct Gf16Leopard {
    encoder: Option<DefaultRateEncoder<DefaultEngine>>,
    decoder: Option<DefaultRateDecoder<DefaultEngine>>,
}

impl Gf16Leopard {
    /// Without work space yet; the library's tables (8 MiB, shared) are made with the first block.
    #[must_use]
    pub const fn new() -> Self {
        Self { encoder: None, decoder: None }
    }
}

impl Fec for Gf16Leopard {
    fn scheme(&self) -> FecScheme {
        FecScheme::Gf16
    }

    fn encode(&mut self, data: &[u8], recovery: &mut [u8], layout: &ShardLayout) -> Result<(), FecError> {
        layout.check(data, recovery, layout.m)?;
        if layout.m == 0 {
            return Ok(());
        }
        let &ShardLayout { k, m, shard_bytes, .. } = layout;
        let unsupported = |_| FecError::Shards { k, m };
        if let Some(encoder) = &mut self.encoder {
            encoder.reset(k, m, shard_bytes).map_err(unsupported)?;
        } else {
            let new = DefaultRateEncoder::new(k, m, shard_bytes, DefaultEngine::new(), None);
            self.encoder = Some(new.map_err(unsupported)?);
        }
        let Some(encoder) = &mut self.encoder else { return Err(FecError::Layout) };
        for i in 0..k {
            encoder.add_original_shard(&data[layout.shard(i)]).map_err(|_| FecError::Layout)?;
        }
        let encoded = encoder.encode().map_err(|_| FecError::Layout)?;
        for (j, shard) in encoded.recovery_iter().enumerate() {
            recovery[layout.shard(j)].copy_from_slice(shard);
        }
        Ok(())
    }

    fn recover(
        &mut self,
        data: &mut [u8],
        missing: &[u16],
        recovery: &[u8],
        recovery_index: &[u16],
        layout: &ShardLayout,
    ) -> Result<(), FecError> {
        check_recover(data, missing, recovery, recovery_index, layout)?;
        if missing.is_empty() {
            return Ok(());
        }
        let &ShardLayout { k, m, shard_bytes, .. } = layout;
        let unsupported = |_| FecError::Shards { k, m };
        if let Some(decoder) = &mut self.decoder {
            decoder.reset(k, m, shard_bytes).map_err(unsupported)?;
        } else {
            let new = DefaultRateDecoder::new(k, m, shard_bytes, DefaultEngine::new(), None);
            self.decoder = Some(new.map_err(unsupported)?);
        }
        let Some(decoder) = &mut self.decoder else { return Err(FecError::Layout) };
        let mut gaps = missing.iter().copied().map(usize::from).peekable();
        for i in 0..k {
            if gaps.next_if_eq(&i).is_none() {
                decoder.add_original_shard(i, &data[layout.shard(i)]).map_err(|_| FecError::Layout)?;
            }
        }
        for (slot, &j) in recovery_index[..missing.len()].iter().enumerate() {
            // A shard number given twice is the only way for this to fail.
            let added = decoder.add_recovery_shard(usize::from(j), &recovery[layout.shard(slot)]);
            added.map_err(|_| FecError::Layout)?;
        }
        let decoded = decoder.decode().map_err(|_| FecError::Layout)?;
        for (i, shard) in decoded.restored_original_iter() {
            data[layout.shard(i)].copy_from_slice(shard);
        }
        Ok(())
    }
}
