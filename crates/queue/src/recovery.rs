//! Opening the spool: from the files on disk to the index, whatever happened before.
//!
//! Of a sealed segment only the footer is read. Any other is scanned; what counts of it is made
//! durable again, since what a killed process had written may be in the kernel's memory only; and
//! nothing is ever written behind it: the log goes on in a fresh segment, which says where the old
//! one ends.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::Arc;

use envelope::QueueId;

use crate::blob::BlobName;
use crate::books::Books;
use crate::error::{OpenError, opening};
use crate::frame::{BLOCK, HEADER, SegmentNumber};
use crate::index::Index;
use crate::note::Note;
use crate::quarantine;
use crate::record::Abandoned;
use crate::scan::{Scan, abandoned, scan};
use crate::segment::{Footer, Segment, file_name, number_in, read_header};
use crate::settings::Settings;
use crate::storage::{Folder, Storage};

/// What was found when the queue was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovery {
    /// Messages in the queue.
    pub messages: u64,
    /// Segments whose footer was enough.
    pub segments_sealed: u64,
    /// Segments that were read whole.
    pub segments_scanned: u64,
    /// Octets at the end of a segment that were never acknowledged, and were dropped.
    pub torn_bytes: u64,
    /// What had been durable and does not check now. Mail may be lost with it: an operator has to
    /// know.
    pub damaged: Vec<Damaged>,
    /// Messages whose large body is gone. They stay in the queue until an operator decides.
    pub without_body: Vec<QueueId>,
    /// Large bodies of no message, which were removed.
    pub orphans_removed: u64,
}

/// A stretch of the log that does not check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// The segment's file in `log/`.
    pub segment: String,
    /// Where it begins, in octets.
    pub from: u32,
    /// Where it ends.
    pub to: u32,
    /// Its copy in `quarantine/`; `None` if no copy could be made.
    pub copy: Option<String>,
}

/// How far into a segment it says what was given up before it, in octets: two thousand segments.
const ABANDONED_MAX: usize = 64 << 10;

/// The queue as it was found.
pub(crate) struct Found<F> {
    pub index: Index,
    pub books: Books<F>,
    pub recovery: Recovery,
    /// Segments that were not sealed, and where they end.
    pub abandoned: Vec<Abandoned>,
    pub last_batch: u64,
    /// Free segment files.
    pub spares: Vec<String>,
    /// The first segment number never used.
    pub next: SegmentNumber,
}

pub(crate) fn open<S: Storage>(storage: &S, settings: &Settings) -> Result<Found<S::File>, OpenError> {
    let mut recovery = Recovery::default();
    let (numbers, mut spares, mut next) = list_log(storage)?;
    let mut segments = numbers
        .into_iter()
        .map(|number| Segment::open(storage, number))
        .collect::<Result<Vec<_>, _>>()
        .map_err(opening("opening the segments of the log"))?;
    let given_up = given_up(storage, &segments)?;
    let unused = split_off_unused(storage, &mut segments, &given_up)?;

    let mut index = Index::new(settings.hot_bytes_max);
    let mut books = Books::new();
    let mut abandoned = Vec::new();
    let mut last_batch = 0;
    let newest = segments.last().map(|segment| segment.number);
    for segment in segments {
        let number = segment.number;
        let end = given_up.get(&number).copied();
        let notes = match read(storage, &segment, end, Some(number) == newest)? {
            Contents::Sealed(footer) => {
                recovery.segments_sealed += 1;
                last_batch = last_batch.max(footer.last_batch + 1);
                footer.notes
            }
            Contents::Scanned(scan) => {
                recovery.segments_scanned += 1;
                recovery.torn_bytes += u64::from(scan.torn);
                last_batch = last_batch.max(scan.last_batch);
                for (from, to) in scan.damage {
                    recovery.damaged.push(set_aside(storage, &segment, from, to));
                }
                if end.is_none() {
                    abandoned.push(Abandoned { segment: number, offset: scan.end });
                }
                scan.notes
            }
        };
        replay(&mut index, notes, number);
        books.open(Arc::new(segment));
    }
    for entry in index.iter(None) {
        books.add(entry.message.segment, entry.frame_size());
    }
    for segment in unused {
        next = next.max(segment.number.saturating_add(1));
        spares.push(make_spare(storage, &segment)?);
    }
    storage.sync_directory(Folder::Log).map_err(opening("syncing the log's directory"))?;
    remove_unfit(storage, &mut spares, settings);
    check_blobs(storage, &index, &mut recovery)?;
    recovery.messages = index.len() as u64;
    Ok(Found { index, books, recovery, abandoned, last_batch, spares, next })
}

enum Contents {
    Sealed(Footer),
    Scanned(Scan),
}

/// The segments of the log in order, the spare files, and the first number never used.
fn list_log<S: Storage>(storage: &S) -> Result<(Vec<SegmentNumber>, Vec<String>, SegmentNumber), OpenError> {
    let names = storage.list(Folder::Log).map_err(opening("listing the log"))?;
    let mut numbers: Vec<SegmentNumber> = names.iter().filter_map(|name| number_in(name)).collect();
    numbers.sort_unstable();
    let spares: Vec<String> = names.into_iter().filter(|name| name.ends_with(".spare")).collect();
    let mut last = numbers.last().map_or(0, |number| number.get());
    for name in &spares {
        // A spare may hold frames under the number in its header or its name: not to be used again.
        let named = name.strip_suffix(".spare").map(|digits| format!("{digits}.seg"));
        last = last.max(named.and_then(|name| number_in(&name)).map_or(0, SegmentNumber::get));
        let mut block = vec![0; BLOCK as usize];
        let read = storage.open(Folder::Log, name).and_then(|file| storage.read_at(&file, 0, &mut block));
        if read.is_ok() {
            last = last.max(read_header(&block).map_or(0, SegmentNumber::get));
        }
    }
    Ok((numbers, spares, SegmentNumber::MIN.saturating_add(last)))
}

/// Where segments end that a later one says were given up.
fn given_up<S: Storage>(
    storage: &S,
    segments: &[Segment<S::File>],
) -> Result<HashMap<SegmentNumber, u32>, OpenError> {
    let mut ends: HashMap<SegmentNumber, u32> = HashMap::new();
    for segment in segments {
        let front = segment.read(storage, BLOCK, ABANDONED_MAX);
        let front = front.map_err(opening(format!("reading {}", file_name(segment.number))))?;
        for Abandoned { segment, offset } in abandoned(segment.number, &front) {
            let end = ends.entry(segment).or_insert(offset);
            *end = offset.min(*end);
        }
    }
    Ok(ends)
}

/// Takes off the end the segments that were prepared and never used.
fn split_off_unused<S: Storage>(
    storage: &S,
    segments: &mut Vec<Segment<S::File>>,
    given_up: &HashMap<SegmentNumber, u32>,
) -> Result<Vec<Segment<S::File>>, OpenError> {
    let mut used = segments.len();
    while let Some(segment) = used.checked_sub(1).map(|last| &segments[last]) {
        let doing = || opening(format!("reading {}", file_name(segment.number)));
        if given_up.contains_key(&segment.number) || segment.trailer(storage).map_err(doing())?.is_some() {
            break;
        }
        let octets = segment.read(storage, 0, segment.size as usize).map_err(doing())?;
        if scan(segment.number, &octets, octets.len(), true).last_batch > 0 {
            break;
        }
        used -= 1;
    }
    Ok(segments.split_off(used))
}

/// Reads a segment: by its footer, or else whole, up to `end` if it was given up there.
fn read<S: Storage>(
    storage: &S,
    segment: &Segment<S::File>,
    end: Option<u32>,
    is_newest: bool,
) -> Result<Contents, OpenError> {
    let doing = || opening(format!("reading {}", file_name(segment.number)));
    // It was written when all that it speaks of was durable, so it holds for a segment given up too.
    let footer = segment.footer(storage).map_err(doing())?;
    if footer.is_none() || is_newest {
        // Of an older segment that is sealed, the later ones prove that it is durable.
        storage.sync_data(&segment.file).map_err(doing())?;
    }
    if let Some(footer) = footer {
        return Ok(Contents::Sealed(footer));
    }
    let octets = segment.read(storage, 0, segment.size as usize).map_err(doing())?;
    let limit = end.unwrap_or(segment.size.saturating_sub(BLOCK)) as usize;
    let mut scan = scan(segment.number, &octets, limit, !is_newest);
    if read_header(&octets) != Some(segment.number) {
        scan.damage.insert(0, (0, HEADER as u32));
    }
    Ok(Contents::Scanned(scan))
}

fn replay(index: &mut Index, notes: Vec<Note>, segment: SegmentNumber) {
    for note in notes {
        match note {
            Note::Message(message) => index.put(&message, segment),
            Note::Outcome(outcome) => {
                index.replay(&outcome, segment);
            }
            Note::Retired(id) => {
                if index.remove(id).is_none() {
                    index.remember(id);
                }
            }
            Note::Held { id, held } => {
                index.set_held(id, held);
            }
        }
    }
}

fn set_aside<S: Storage>(storage: &S, segment: &Segment<S::File>, from: u32, to: u32) -> Damaged {
    let copy = quarantine::keep(storage, segment, from, to);
    let name = file_name(segment.number);
    match &copy {
        Ok(copy) => tracing::error!(segment = name, from, to, copy, "the log is damaged: see quarantine/"),
        Err(error) => tracing::error!(segment = name, from, to, %error, "the log is damaged"),
    }
    Damaged { segment: name, from, to, copy: copy.ok() }
}

fn make_spare<S: Storage>(storage: &S, segment: &Segment<S::File>) -> Result<String, OpenError> {
    let name = file_name(segment.number);
    let spare = name.replace(".seg", ".spare");
    storage.rename(Folder::Log, &name, &spare).map_err(opening(format!("renaming {name}")))?;
    Ok(spare)
}

/// Removes spare files of another size than segments have now.
fn remove_unfit<S: Storage>(storage: &S, spares: &mut Vec<String>, settings: &Settings) {
    spares.retain(|name| {
        let length = storage.open(Folder::Log, name).and_then(|file| storage.length(&file));
        let fits = length.is_ok_and(|length| length == u64::from(settings.segment_size));
        if !fits && let Err(error) = storage.remove(Folder::Log, name) {
            tracing::warn!(name, %error, "a segment file of another size could not be removed");
        }
        fits
    });
}

/// Removes blobs that no message names, and finds messages whose blob is gone.
fn check_blobs<S: Storage>(storage: &S, index: &Index, recovery: &mut Recovery) -> Result<(), OpenError> {
    let names = storage.list(Folder::Blobs).map_err(opening("listing the blobs"))?;
    let wanted: BTreeMap<QueueId, NonZeroU32> =
        index.iter(None).filter_map(|entry| Some((entry.id, entry.blob?))).collect();
    let mut found = HashSet::new();
    for name in names {
        let Some(blob) = BlobName::parse(&name) else {
            tracing::warn!(name, "a file that is no blob stands among the blobs");
            continue;
        };
        if wanted.get(&blob.id) == Some(&blob.copy) {
            found.insert(blob.id);
        } else if let Err(error) = storage.remove(Folder::Blobs, &name) {
            tracing::warn!(name, %error, "a blob of no message could not be removed");
        } else {
            recovery.orphans_removed += 1;
        }
    }
    recovery.without_body = wanted.into_keys().filter(|id| !found.contains(id)).collect();
    for id in &recovery.without_body {
        tracing::error!(queue_id = %id, "the body of a message is gone");
    }
    Ok(())
}
