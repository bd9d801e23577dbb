//! Ctrl-C ends what was started, and leaves nothing behind.

use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::process;

/// From now on an interruption ends every process that was started and removes `directory`.
///
/// # Errors
/// If the signals cannot be caught.
pub fn clean_up_on_interrupt(directory: PathBuf) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut interrupt, mut terminate, mut hangup) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?)
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        });
        process::end_all();
        // A process that was just killed may be in the middle of making a file.
        std::thread::sleep(Duration::from_millis(100));
        let _ = std::fs::remove_dir_all(directory);
        eprintln!("interrupted");
        std::process::exit(130);
    });
    Ok(())
}
