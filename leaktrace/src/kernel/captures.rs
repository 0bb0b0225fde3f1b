//! Emptying the hooks' buffer of stack copies as it fills, on a thread of its own: the sampler may be busy with a pass or
//! with names for longer than the buffer lasts when many programs start at once.

use aya::maps::{MapData, RingBuf};
use leaktrace_common::{StackCapture, TreeExec};
use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};
use zerocopy::FromBytes;

/// Most copies that wait to be taken: 24 MiB.
const MOST_WAITING: usize = 1024;

/// What comes out of the buffer.
pub enum News {
    /// A copy of a stack.
    Stack(Box<StackCapture>),
    /// A process of the tree that is followed runs another program.
    Exec(u32),
}

impl News {
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if let Ok(exec) = TreeExec::read_from_bytes(bytes) {
            return Some(Self::Exec(exec.tgid));
        }
        StackCapture::read_from_bytes(bytes).ok().map(|capture| Self::Stack(Box::new(capture)))
    }
}

/// What the thread has taken out of the kernel.
#[derive(Default)]
struct Shared {
    waiting: Mutex<Vec<News>>,
    /// Copies that found no room among those.
    dropped: AtomicU64,
    news: Condvar,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Vec<News>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The copies, as they come.
pub struct Captures {
    shared: Arc<Shared>,
    stop: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl Captures {
    /// Takes copies out of `ring` from now on.
    ///
    /// # Errors
    /// When there is no thread or descriptor to be had.
    pub fn start(ring: RingBuf<MapData>) -> io::Result<Self> {
        // SAFETY: the call has no conditions.
        let stop = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if stop < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and ours.
        let stop = unsafe { OwnedFd::from_raw_fd(stop) };
        let (shared, stopped) = (Arc::new(Shared::default()), stop.try_clone()?);
        let into = Arc::clone(&shared);
        let thread =
            std::thread::Builder::new().name("captures".to_owned()).spawn(move || empty(ring, &stopped, &into))?;
        Ok(Self { shared, stop, thread: Some(thread) })
    }

    /// Rests until something has come, or `longest` is over.
    pub fn wait(&self, longest: Duration) {
        let waiting = self.shared.waiting();
        drop(self.shared.news.wait_timeout_while(waiting, longest, |waiting| waiting.is_empty()));
    }

    /// How many copies came while too many waited.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// All that came since the last call.
    pub fn take(&self) -> Vec<News> {
        std::mem::take(&mut *self.shared.waiting())
    }
}

impl Drop for Captures {
    fn drop(&mut self) {
        let one = 1_u64;
        // SAFETY: eight bytes of ours; an eventfd takes them at once.
        unsafe { libc::write(self.stop.as_raw_fd(), (&raw const one).cast(), size_of_val(&one)) };
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed.
            let _ = thread.join();
        }
    }
}

fn empty(mut ring: RingBuf<MapData>, stop: &OwnedFd, into: &Shared) {
    let entry = |fd: i32| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    loop {
        let mut ready = [entry(ring.as_raw_fd()), entry(stop.as_raw_fd())];
        // SAFETY: two valid entries; an interrupted wait is as good as one that is over.
        unsafe { libc::poll(ready.as_mut_ptr(), 2, -1) };
        if ready[1].revents != 0 {
            return;
        }
        while let Some(item) = ring.next() {
            let mut waiting = into.waiting();
            if waiting.len() >= MOST_WAITING {
                into.dropped.fetch_add(1, Ordering::Relaxed);
            } else if let Some(news) = News::from_bytes(&item) {
                waiting.push(news);
                into.news.notify_one();
            }
        }
    }
}
