//! A disk in memory that fails when it is told to, and loses at a power cut what was not synced:
//! any 512-octet sector of any write, and names from the end of what happened in a folder.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard};

use queue::{Folder, Storage};

const SECTOR: usize = 512;

/// What goes wrong, counted in calls that change something.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// The power fails in this call.
    pub power_at: Option<u64>,
    /// These calls fail, from and to, with this error.
    pub errors: Option<(u64, u64, io::ErrorKind)>,
}

#[derive(Clone)]
pub struct Disk(Arc<Mutex<State>>);

type FileId = u64;

struct State {
    faults: Faults,
    calls: u64,
    without_power: bool,
    random: Random,
    files: HashMap<FileId, Contents>,
    names: BTreeMap<(Folder, String), FileId>,
    durable_names: BTreeMap<(Folder, String), FileId>,
    /// What happened to names since their folder was synced.
    name_changes: Vec<NameChange>,
    next_file: FileId,
    pub free_space: u64,
}

#[derive(Default, Clone)]
struct Contents {
    durable: Vec<u8>,
    current: Vec<u8>,
    writes: Vec<(usize, Vec<u8>)>,
}

#[derive(Clone)]
struct NameChange {
    folder: Folder,
    remove: Option<String>,
    add: Option<(String, FileId)>,
}

/// xorshift64*
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
}

impl Disk {
    pub fn new(seed: u64, faults: Faults) -> Disk {
        Disk(Arc::new(Mutex::new(State {
            faults,
            calls: 0,
            without_power: false,
            random: Random::new(seed),
            files: HashMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            name_changes: Vec::new(),
            next_file: 1,
            free_space: u64::MAX,
        })))
    }

    /// Calls so far that change something.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    pub fn lost_power(&self) -> bool {
        self.state().without_power
    }

    pub fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    pub fn set_free_space(&self, free: u64) {
        self.state().free_space = free;
    }

    pub fn cut_power(&self) {
        self.state().without_power = true;
    }

    /// The disk that the next process finds when this one was killed: all that was written, though
    /// it may still be lost.
    pub fn after_kill(&self, faults: Faults) -> Disk {
        let mut state = self.state();
        state.without_power = true;
        let later = State {
            faults,
            calls: 0,
            without_power: false,
            random: state.random.clone(),
            files: state.files.clone(),
            names: state.names.clone(),
            durable_names: state.durable_names.clone(),
            name_changes: state.name_changes.clone(),
            next_file: state.next_file,
            free_space: state.free_space,
        };
        Disk(Arc::new(Mutex::new(later)))
    }

    /// The disk that the machine finds when the power is back.
    pub fn after_power_loss(&self, faults: Faults) -> Disk {
        let state = self.state();
        let mut random = state.random.clone();
        let mut names = state.durable_names.clone();
        // Per folder, changes reach the disk in their order; how many of them, nobody knows.
        for folder in [Folder::Log, Folder::Blobs, Folder::Quarantine] {
            let changes = state.name_changes.iter().filter(|change| change.folder == folder);
            let changes: Vec<NameChange> = changes.cloned().collect();
            let some = random.below(changes.len() as u64 + 1) as usize;
            for change in &changes[..some] {
                change.apply(&mut names);
            }
        }
        let mut files = HashMap::new();
        for (file, contents) in &state.files {
            let mut durable = contents.durable.clone();
            for write in &contents.writes {
                write_some(&mut durable, write, &mut random);
            }
            files.insert(*file, Contents { current: durable.clone(), durable, writes: Vec::new() });
        }
        Disk(Arc::new(Mutex::new(State {
            faults,
            calls: 0,
            without_power: false,
            random,
            files,
            names: names.clone(),
            durable_names: names,
            name_changes: Vec::new(),
            next_file: state.next_file,
            free_space: u64::MAX,
        })))
    }

    pub fn names(&self, folder: Folder) -> Vec<String> {
        let state = self.state();
        state.names.keys().filter(|(place, _)| *place == folder).map(|(_, name)| name.clone()).collect()
    }

    pub fn contents(&self, folder: Folder, name: &str) -> Vec<u8> {
        let state = self.state();
        state.files[&state.names[&(folder, name.to_owned())]].current.clone()
    }

    /// Changes an octet on the disk, as a failing disk does.
    pub fn corrupt(&self, folder: Folder, name: &str, at: usize) {
        let mut state = self.state();
        let file = state.names[&(folder, name.to_owned())];
        let contents = state.files.get_mut(&file).unwrap();
        contents.current[at] ^= 0x55;
        contents.durable = contents.current.clone();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// A call that changes something: `Ok` to go on, and whether the power fails after it.
    fn call(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        if state.without_power {
            return Err(io::Error::other("no power"));
        }
        let call = state.calls;
        state.calls += 1;
        if let Some((from, to, kind)) = state.faults.errors
            && (from..to).contains(&call)
        {
            return Err(kind.into());
        }
        if state.faults.power_at == Some(call) {
            state.without_power = true;
        }
        Ok(state)
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<(Folder, String), FileId>) {
        if let Some(name) = &self.remove {
            names.remove(&(self.folder, name.clone()));
        }
        if let Some((name, file)) = &self.add {
            names.insert((self.folder, name.clone()), *file);
        }
    }
}

impl State {
    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.name_changes.push(change);
    }

    /// What was begun in the call in which the power fails is begun, not answered.
    fn answer<T>(&self, value: T) -> io::Result<T> {
        if self.without_power { Err(io::Error::other("no power")) } else { Ok(value) }
    }
}

/// Writes all, nothing or some of a write's sectors.
fn write_some(durable: &mut Vec<u8>, (offset, octets): &(usize, Vec<u8>), random: &mut Random) {
    let lose = random.below(3);
    let mut at = *offset;
    for sector in octets.chunks(SECTOR) {
        let lost = lose == 0 || lose == 1 && random.below(2) == 0;
        if !lost {
            if durable.len() < at + sector.len() {
                durable.resize(at + sector.len(), 0);
            }
            durable[at..at + sector.len()].copy_from_slice(sector);
        }
        at += sector.len();
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Storage for Disk {
    type File = FileId;

    fn create(&self, folder: Folder, name: &str) -> io::Result<FileId> {
        let mut state = self.call()?;
        if state.names.contains_key(&(folder, name.to_owned())) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = state.next_file;
        state.next_file += 1;
        state.files.insert(file, Contents::default());
        state.change(NameChange { folder, remove: None, add: Some((name.to_owned(), file)) });
        state.answer(file)
    }

    fn open(&self, folder: Folder, name: &str) -> io::Result<FileId> {
        self.state().names.get(&(folder, name.to_owned())).copied().ok_or_else(not_found)
    }

    fn rename(&self, folder: Folder, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.call()?;
        let file = *state.names.get(&(folder, from.to_owned())).ok_or_else(not_found)?;
        let add = Some((to.to_owned(), file));
        state.change(NameChange { folder, remove: Some(from.to_owned()), add });
        state.answer(())
    }

    fn remove(&self, folder: Folder, name: &str) -> io::Result<()> {
        let mut state = self.call()?;
        if !state.names.contains_key(&(folder, name.to_owned())) {
            return Err(not_found());
        }
        state.change(NameChange { folder, remove: Some(name.to_owned()), add: None });
        state.answer(())
    }

    fn list(&self, folder: Folder) -> io::Result<Vec<String>> {
        Ok(self.names(folder))
    }

    fn sync_directory(&self, folder: Folder) -> io::Result<()> {
        let mut state = self.call()?;
        if !state.without_power {
            let changes = std::mem::take(&mut state.name_changes);
            let (now, later) = changes.into_iter().partition(|change| change.folder == folder);
            state.name_changes = later;
            let now: Vec<NameChange> = now;
            for change in now {
                change.apply(&mut state.durable_names);
            }
        }
        state.answer(())
    }

    fn allocate(&self, file: &FileId, length: u64) -> io::Result<()> {
        self.write_at(file, 0, &mut [IoSlice::new(&vec![0; length as usize])])
    }

    fn length(&self, file: &FileId) -> io::Result<u64> {
        Ok(self.state().files[file].current.len() as u64)
    }

    fn write_at(&self, file: &FileId, offset: u64, pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
        let octets: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
        let mut state = match self.call() {
            Ok(state) => state,
            Err(error) => {
                // Some of it may be written all the same.
                let mut state = self.state();
                if !state.without_power {
                    state.write(*file, offset as usize, octets[..octets.len() / 2].to_vec());
                }
                return Err(error);
            }
        };
        state.write(*file, offset as usize, octets);
        state.answer(())
    }

    fn read_at(&self, file: &FileId, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let state = self.state();
        let octets = state.files[file].current.get(offset as usize..).unwrap_or_default();
        let length = octets.len().min(buffer.len());
        buffer[..length].copy_from_slice(&octets[..length]);
        Ok(length)
    }

    fn sync_data(&self, file: &FileId) -> io::Result<()> {
        let mut state = match self.call() {
            Ok(state) => state,
            Err(error) => {
                // As Linux does: some was written, and the rest counts as written from now on, so
                // that a second sync succeeds and the data is lost.
                let mut state = self.state();
                if !state.without_power {
                    let State { files, random, .. } = &mut *state;
                    let contents = files.get_mut(file).unwrap();
                    for write in std::mem::take(&mut contents.writes) {
                        write_some(&mut contents.durable, &write, random);
                    }
                }
                return Err(error);
            }
        };
        if !state.without_power {
            let contents = state.files.get_mut(file).unwrap();
            for (offset, octets) in std::mem::take(&mut contents.writes) {
                if contents.durable.len() < offset + octets.len() {
                    contents.durable.resize(offset + octets.len(), 0);
                }
                contents.durable[offset..offset + octets.len()].copy_from_slice(&octets);
            }
        }
        state.answer(())
    }

    fn sync_all(&self, file: &FileId) -> io::Result<()> {
        self.sync_data(file)
    }

    fn free_space(&self) -> io::Result<u64> {
        Ok(self.state().free_space)
    }
}

impl State {
    fn write(&mut self, file: FileId, offset: usize, octets: Vec<u8>) {
        let contents = self.files.get_mut(&file).unwrap();
        if contents.current.len() < offset + octets.len() {
            contents.current.resize(offset + octets.len(), 0);
        }
        contents.current[offset..offset + octets.len()].copy_from_slice(&octets);
        contents.writes.push((offset, octets));
    }
}
