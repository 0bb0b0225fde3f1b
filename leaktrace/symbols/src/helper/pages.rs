//! Gives back the pages of mapped files while a request is worked on: they count as memory of this process, and a debug file of a
//! gigabyte would otherwise be there whole.

use crate::give_pages_back;
use std::{
    io,
    sync::{Arc, Condvar, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

/// Time between two times that pages are given back. A gigabyte a second can be read from the page cache.
const EVERY: Duration = Duration::from_millis(50);

/// Says whether a request is worked on.
#[derive(Clone, Debug)]
pub(crate) struct Busy(Arc<(Mutex<bool>, Condvar)>);

impl Busy {
    /// Starts the thread that gives pages back, and waits until it runs: starting takes system calls that may be forbidden afterwards.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(crate) fn start() -> io::Result<Self> {
        let busy = Self(Arc::default());
        let shared = busy.clone();
        let (runs, started) = mpsc::channel();
        thread::Builder::new().name("pages".to_owned()).stack_size(64 << 10).spawn(move || {
            // The other end waits for it.
            let _ = runs.send(());
            shared.serve();
        })?;
        started.recv().map_err(io::Error::other)?;
        Ok(busy)
    }

    /// A request begins or has ended.
    pub(crate) fn set(&self, busy: bool) {
        let (state, changed) = &*self.0;
        *state.lock().unwrap_or_else(PoisonError::into_inner) = busy;
        if busy {
            changed.notify_one();
        }
    }

    fn serve(&self) {
        let (state, changed) = &*self.0;
        loop {
            let mut busy = state.lock().unwrap_or_else(PoisonError::into_inner);
            while !*busy {
                busy = changed.wait(busy).unwrap_or_else(PoisonError::into_inner);
            }
            let waited = changed.wait_timeout(busy, EVERY).unwrap_or_else(PoisonError::into_inner);
            let still_busy = *waited.0;
            drop(waited);
            if still_busy {
                give_pages_back();
            }
        }
    }
}
