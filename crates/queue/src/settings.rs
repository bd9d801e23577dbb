//! What an operator may set, with the defaults of this house.

use thiserror::Error;

/// How large the queue's pieces are. [`Settings::default`] suits a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Size of a log segment in octets: a multiple of 4096 from 64 KiB to 1 GiB. Default 64 MiB.
    pub segment_size: u32,
    /// New mail is refused while the file system has less than this free, in octets. Deliveries
    /// and bounces go on. Default 64 MiB.
    pub free_space_min: u64,
    /// How many octets of mail data are kept in memory so that a first attempt reads no disk.
    /// Default 64 MiB.
    pub hot_bytes_max: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { segment_size: 64 << 20, free_space_min: 64 << 20, hot_bytes_max: 64 << 20 }
    }
}

/// A setting is out of its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the segment size must be a multiple of 4096 octets from 64 KiB to 1 GiB, not {0}")]
pub struct BadSegmentSize(pub u32);

impl Settings {
    pub(crate) fn check(&self) -> Result<(), BadSegmentSize> {
        let size = self.segment_size;
        let fits = size.is_multiple_of(4096) && (64 << 10..=1 << 30).contains(&size);
        if fits { Ok(()) } else { Err(BadSegmentSize(size)) }
    }

    /// How much one commit writes, give or take one item, in octets.
    pub(crate) fn batch_bytes_max(&self) -> usize {
        (4 << 20).min(self.segment_size as usize / 4)
    }

    /// The longest payload of a frame, in octets: two of them and a batch still fit a segment.
    pub(crate) fn payload_max(&self) -> usize {
        self.segment_size as usize / 4
    }

    /// The most recipients of a message: so many replies still fit a frame.
    pub(crate) fn recipients_max(&self) -> usize {
        self.segment_size as usize / 2048
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_size_off_the_block_or_out_of_range_is_refused() {
        for size in [0, 4096, (64 << 10) + 1, (1 << 30) + 4096] {
            let settings = Settings { segment_size: size, ..Settings::default() };
            assert_eq!(settings.check(), Err(BadSegmentSize(size)));
        }
        assert_eq!(Settings::default().check(), Ok(()));
    }
}
