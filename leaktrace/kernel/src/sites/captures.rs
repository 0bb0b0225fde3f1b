//! A thread that empties the hooks' ring buffer of stack copies as it fills, and the queue of copies that wait to be placed.
//!
//! A thread of its own, because the sampler may be busy with a pass or with names until the buffer is full, when many programs start at
//! the same time.

use aya::maps::{MapData, RingBuf};
use leaktrace_common::{BusyCallsite, MessageKind, StackCapture, TreeExec};
use std::{
    collections::{BTreeSet, VecDeque},
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle, Thread},
    time::Duration,
};
use zerocopy::FromBytes;

/// Most copies that wait to be placed: 24 MiB. Further copies stay in the hooks' buffer. If that is full too, the hooks count the copies
/// that they could not make, and make them at the next open of the call site.
const MOST_WAITING: usize = 1024;

/// What the thread has read from the kernel, in the order of arrival.
#[derive(Default)]
struct Waiting {
    /// At most one for each call site.
    copies: VecDeque<(u32, Box<StackCapture>)>,
    /// Processes of the followed tree that have started another program.
    execs: Vec<u32>,
    /// Call sites that may be worth counters of their own.
    busy: BTreeSet<u32>,
    /// Whether the reader is gone, so nothing will be taken any more.
    over: bool,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.copies.is_empty() && self.execs.is_empty() && self.busy.is_empty()
    }

    fn is_full(&self) -> bool {
        self.copies.len() >= MOST_WAITING
    }

    /// Adds a message. Bytes that are not a message are ignored.
    fn add(&mut self, bytes: &[u8]) {
        match MessageKind::of(bytes) {
            Some(MessageKind::TreeExec) => {
                self.execs.extend(TreeExec::read_from_bytes(bytes).ok().map(|exec| exec.tgid))
            }
            Some(MessageKind::BusyCallsite) => {
                self.busy.extend(BusyCallsite::read_from_bytes(bytes).ok().map(|busy| busy.callsite));
            }
            Some(MessageKind::StackCapture) => self.add_copy(StackCapture::read_from_bytes(bytes).ok()),
            Some(MessageKind::LeftRow) | None => {}
        }
    }

    fn add_copy(&mut self, copy: Option<StackCapture>) {
        let Some(copy) = copy else { return };
        // An earlier copy with this index is of the same stack, by another processor, or of a call site that had the index before.
        drop(self.take_of(copy.callsite));
        self.copies.push_back((copy.callsite, Box::new(copy)));
    }

    fn take_of(&mut self, callsite: u32) -> Option<Box<StackCapture>> {
        let at = self.copies.iter().position(|(of, _)| *of == callsite)?;
        self.copies.remove(at).map(|(_, copy)| copy)
    }

    fn take_process(&mut self, most: usize) -> Vec<Box<StackCapture>> {
        let Some(tgid) = self.copies.front().map(|(_, copy)| copy.tgid) else { return Vec::new() };
        let of_process = self.copies.iter().filter(|(_, copy)| copy.tgid == tgid).map(|(callsite, _)| *callsite);
        let callsites: Vec<u32> = of_process.take(most).collect();
        callsites.into_iter().filter_map(|callsite| self.take_of(callsite)).collect()
    }
}

/// What the thread and the sampler share.
struct Shared {
    waiting: Mutex<Waiting>,
    room: Condvar,
    sampler: Thread,
}

impl Shared {
    /// The calling thread is the sampler: it will be unparked for each message.
    fn new() -> Self {
        Self { waiting: Mutex::default(), room: Condvar::new(), sampler: thread::current() }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a message from the buffer, and waits for room before that. False if the reader is gone.
    fn add(&self, bytes: &[u8]) -> bool {
        let full = |waiting: &mut Waiting| waiting.is_full() && !waiting.over;
        let mut waiting = self.room.wait_while(self.waiting(), full).unwrap_or_else(PoisonError::into_inner);
        waiting.add(bytes);
        self.sampler.unpark();
        !waiting.over
    }

    /// Waits until there is something to take, this thread is unparked, or `longest` has passed.
    fn wait(&self, longest: Duration) {
        if self.waiting().is_empty() {
            thread::park_timeout(longest);
        }
    }

    /// Takes something out and wakes the thread that waits for room.
    fn take<T>(&self, what: impl FnOnce(&mut Waiting) -> T) -> T {
        let taken = what(&mut self.waiting());
        self.room.notify_one();
        taken
    }
}

/// The thread and its queue.
pub(crate) struct Captures {
    shared: Arc<Shared>,
    stop: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl Captures {
    /// Starts to read `ring`, for the calling thread.
    ///
    /// # Errors
    /// If no thread or descriptor can be created.
    pub(crate) fn start(ring: RingBuf<MapData>) -> io::Result<Self> {
        // SAFETY: the call has no conditions.
        let stop = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if stop < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new, and nothing else owns it.
        let stop = unsafe { OwnedFd::from_raw_fd(stop) };
        let (shared, stopped) = (Arc::new(Shared::new()), stop.try_clone()?);
        let into = Arc::clone(&shared);
        let thread = thread::Builder::new().name("captures".to_owned()).spawn(move || empty(ring, &stopped, &into))?;
        Ok(Self { shared, stop, thread: Some(thread) })
    }

    /// See [`Shared::wait`].
    pub(crate) fn wait(&self, longest: Duration) {
        self.shared.wait(longest);
    }

    /// Processes that have started another program since the last call.
    pub(crate) fn take_execs(&self) -> Vec<u32> {
        self.shared.take(|waiting| std::mem::take(&mut waiting.execs))
    }

    /// Call sites that have opened many sockets since the last call.
    pub(crate) fn take_busy(&self) -> BTreeSet<u32> {
        self.shared.take(|waiting| std::mem::take(&mut waiting.busy))
    }

    /// The copy of a call site's stack, if it has arrived.
    pub(crate) fn take_of(&self, callsite: u32) -> Option<Box<StackCapture>> {
        self.shared.take(|waiting| waiting.take_of(callsite))
    }

    /// The copy that has waited longest and more copies of the same process, at most `most` in total.
    pub(crate) fn take_process(&self, most: usize) -> Vec<Box<StackCapture>> {
        self.shared.take(|waiting| waiting.take_process(most))
    }
}

impl Drop for Captures {
    fn drop(&mut self) {
        self.shared.take(|waiting| waiting.over = true);
        let one = 1_u64;
        // SAFETY: the eight bytes are valid during the call. An eventfd takes them without blocking.
        unsafe { libc::write(self.stop.as_raw_fd(), (&raw const one).cast(), size_of_val(&one)) };
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has been printed already.
            let _ = thread.join();
        }
    }
}

fn empty(mut ring: RingBuf<MapData>, stop: &OwnedFd, into: &Shared) {
    let entry = |fd: i32| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    loop {
        let mut ready = [entry(ring.as_raw_fd()), entry(stop.as_raw_fd())];
        // SAFETY: the array has two valid entries. An interrupted wait needs no special case.
        unsafe { libc::poll(ready.as_mut_ptr(), 2, -1) };
        if ready[1].revents != 0 {
            return;
        }
        while let Some(item) = ring.next() {
            if !into.add(&item) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::{FromZeros, IntoBytes};

    fn copy(callsite: u32, tgid: u32, ip: u64) -> StackCapture {
        StackCapture { kind: MessageKind::StackCapture.raw(), callsite, tgid, ip, ..StackCapture::new_zeroed() }
    }

    fn waiting(copies: &[(u32, u32)]) -> Waiting {
        let mut waiting = Waiting::default();
        copies.iter().for_each(|(callsite, tgid)| waiting.add(copy(*callsite, *tgid, 0).as_bytes()));
        waiting
    }

    fn callsites(copies: &[Box<StackCapture>]) -> Vec<u32> {
        copies.iter().map(|copy| copy.callsite).collect()
    }

    #[test]
    fn copies_come_process_by_process_in_the_order_of_the_oldest() {
        let mut waiting = waiting(&[(1, 70), (2, 80), (3, 70), (4, 70)]);
        assert_eq!(callsites(&waiting.take_process(2)), [1, 3]);
        assert_eq!(callsites(&waiting.take_process(2)), [2]);
        assert_eq!(callsites(&waiting.take_process(2)), [4]);
        assert!(waiting.take_process(2).is_empty() && waiting.is_empty());
    }

    #[test]
    fn what_a_sample_has_taken_does_not_come_again() {
        let mut waiting = waiting(&[(1, 70), (2, 70)]);
        assert_eq!(waiting.take_of(1).map(|copy| copy.tgid), Some(70));
        assert!(waiting.take_of(1).is_none());
        assert_eq!(callsites(&waiting.take_process(8)), [2]);
    }

    #[test]
    fn the_latest_copy_of_a_call_site_is_the_only_one() {
        let mut waiting = waiting(&[(1, 70), (2, 80)]);
        waiting.add(copy(1, 90, 0x1234).as_bytes());
        assert_eq!(callsites(&waiting.take_process(8)), [2]);
        assert_eq!(waiting.take_of(1).map(|copy| (copy.tgid, copy.ip)), Some((90, 0x1234)));
    }

    #[test]
    fn other_messages_in_the_buffer_are_distinguished() {
        let mut waiting = waiting(&[(1, 70)]);
        waiting.add(TreeExec { kind: MessageKind::TreeExec.raw(), tgid: 5 }.as_bytes());
        waiting.add(BusyCallsite { kind: MessageKind::BusyCallsite.raw(), callsite: 9 }.as_bytes());
        waiting.add(BusyCallsite { kind: MessageKind::BusyCallsite.raw(), callsite: 9 }.as_bytes());
        assert_eq!((waiting.copies.len(), &waiting.execs, &waiting.busy), (1, &vec![5], &BTreeSet::from([9])));
    }

    #[test]
    fn bytes_that_are_no_message_are_ignored() {
        let mut waiting = waiting(&[]);
        waiting.add(StackCapture { kind: 99, ..StackCapture::new_zeroed() }.as_bytes());
        waiting.add(TreeExec { kind: MessageKind::StackCapture.raw(), tgid: 5 }.as_bytes());
        for length in [0, 1, size_of::<StackCapture>() - 1, size_of::<StackCapture>() + 1] {
            waiting.add(&vec![0xFF; length]);
        }
        assert!(waiting.is_empty());
    }

    #[test]
    fn a_full_queue_keeps_the_next_copy_waiting_until_there_is_room() {
        let shared = Shared::new();
        for callsite in 0..MOST_WAITING as u32 {
            assert!(shared.add(copy(callsite, 70, 0).as_bytes()));
        }
        thread::scope(|scope| {
            let last = scope.spawn(|| shared.add(copy(9999, 80, 0).as_bytes()));
            assert!(shared.take(|waiting| waiting.take_of(9999)).is_none());
            assert_eq!(shared.take(|waiting| waiting.take_process(1)).len(), 1);
            assert!(last.join().unwrap());
            assert!(shared.take(|waiting| waiting.take_of(9999)).is_some());
        });
    }

    #[test]
    fn what_comes_wakes_the_sampler() {
        let shared = Shared::new();
        thread::scope(|scope| {
            scope.spawn(|| shared.add(copy(1, 70, 0).as_bytes()));
            while shared.waiting().is_empty() {
                shared.wait(Duration::from_secs(3600));
            }
        });
        // Nothing to wait for.
        shared.wait(Duration::from_secs(3600));
        assert!(shared.take(|waiting| waiting.take_of(1)).is_some());
    }

    #[test]
    fn the_end_does_not_wait_for_room() {
        let shared = Shared::new();
        for callsite in 0..MOST_WAITING as u32 {
            assert!(shared.add(copy(callsite, 70, 0).as_bytes()));
        }
        thread::scope(|scope| {
            let last = scope.spawn(|| shared.add(copy(9999, 80, 0).as_bytes()));
            shared.take(|waiting| waiting.over = true);
            assert!(!last.join().unwrap());
        });
    }
}
