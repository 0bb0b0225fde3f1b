//! The watcher: a thread that takes a sample at every interval, and the messages to and from it.

use super::{
    adoption,
    message::{Control, Detail, Each, Update, WatchError},
    session::{RecordTo, Session},
};
use crate::config::WatchConfig;
use std::{
    sync::mpsc::{self, TryRecvError},
    thread::{self, Thread},
    time::{Duration, Instant},
};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Longest wait while a process tree runs: no event says that sockets were left open or that the last process ended.
const TREE_POLL: Duration = Duration::from_millis(25);

/// Most updates that wait to be received: each snapshot of a large host takes megabytes.
const WAITING: usize = 4;

/// Sends messages to a watcher from any thread.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    orders: mpsc::Sender<Control>,
    /// The thread, which rests between samples and must be woken. `None` if it could not be started.
    watcher: Option<Thread>,
}

impl Handle {
    /// Sends a message. The watcher first finishes what it is doing.
    pub(crate) fn send(&self, control: Control) {
        // A watcher that has ended needs no messages.
        let _ = self.orders.send(control);
        if let Some(watcher) = &self.watcher {
            watcher.unpark();
        }
    }
}

/// A running watcher.
pub(crate) struct Watch {
    updates: Receiver<Update>,
    control: Handle,
    thread: Option<thread::JoinHandle<()>>,
}

impl Watch {
    /// Starts a watcher.
    pub(crate) fn start(config: WatchConfig, each: Each) -> Self {
        Self::start_with(config, each, None)
    }

    /// Starts a watcher that writes every sample into a recording, which is complete when [`Update::Last`] comes.
    pub(crate) fn start_recording(config: WatchConfig, to: RecordTo) -> Self {
        Self::start_with(config, Each::Remember, Some(to))
    }

    fn start_with(config: WatchConfig, each: Each, record: Option<RecordTo>) -> Self {
        let (orders, received) = mpsc::channel();
        let (sender, updates) = channel(WAITING);
        let thread = thread::Builder::new().name("sampler".to_owned()).spawn(move || {
            let outcome = run(config, each, record, &received, &|update| send_update(update, &sender));
            if let Err(error) = outcome {
                send_update(Update::Failed(error), &sender);
            }
        });
        let thread = thread.ok();
        let watcher = thread.as_ref().map(|thread| thread.thread().clone());
        Self { updates, control: Handle { orders, watcher }, thread }
    }

    /// Sends a message to the watcher.
    pub(crate) fn send(&self, control: Control) {
        self.control.send(control);
    }

    /// A handle that can send messages from elsewhere.
    pub(crate) fn handle(&self) -> Handle {
        self.control.clone()
    }

    /// The updates that the watcher sends.
    pub(crate) fn updates_mut(&mut self) -> &mut Receiver<Update> {
        &mut self.updates
    }

    /// The updates, for another thread to receive. None arrive here any more.
    pub(crate) fn take_updates(&mut self) -> Receiver<Update> {
        std::mem::replace(&mut self.updates, channel(WAITING).1)
    }
}

impl Drop for Watch {
    /// Waits until the hooks are detached, which ends the kernel side.
    fn drop(&mut self) {
        self.send(Control::Stop);
        // The watcher may be waiting for space to send an update.
        self.updates.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Sends an update. Waits for space if the update must arrive; drops it if the next sample repeats it and there is no
/// space.
fn send_update(update: Update, sender: &Sender<Update>) {
    // If the receiver is gone, the program is about to end.
    match update {
        Update::Snapshot(_) | Update::Adopting { .. } => drop(sender.try_send(update)),
        Update::Started(_) | Update::Last(_) | Update::Failed(_) => drop(sender.blocking_send(update)),
    }
}

fn run(
    config: WatchConfig,
    each: Each,
    record: Option<RecordTo>,
    orders: &mpsc::Receiver<Control>,
    report: &(dyn Fn(Update) + Sync),
) -> Result<(), WatchError> {
    let follows_tree = config.tree.is_some();
    let mut session = Session::start(config)?;
    if let Some(to) = record {
        session.record(to)?;
    }
    let mut next = Instant::now();
    if follows_tree {
        // Samples before the command starts: it may end within the first interval, and its stacks would be placed too late.
        session.sample(Detail::Suspects, false)?;
        next += session.interval();
    }
    report(Update::Started(session.hooks()));
    let mut parting = None;
    let mut adoption = session.adoption();
    loop {
        let order = match parting {
            Some((detail, until)) if session.running() == 0 || Instant::now() >= until => Ok(Control::Finish(detail)),
            _ => orders.try_recv(),
        };
        match order {
            Ok(Control::Finish(detail)) => {
                session.sample(detail, true)?;
                session.finish_recording()?;
                report(Update::Last(Box::new(session.snapshot())));
                return Ok(());
            }
            Ok(Control::FinishAlone(detail, longest)) => {
                parting = Some((detail, Instant::now() + longest));
                continue;
            }
            Ok(Control::SetLimits(limits)) => {
                session.set_limits(limits);
                continue;
            }
            Ok(Control::Stop) | Err(TryRecvError::Disconnected) => return Ok(()),
            Err(TryRecvError::Empty) => {}
        }
        let wait = next.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            session.attend(if follows_tree { wait.min(TREE_POLL) } else { wait })?;
            continue;
        }
        match each {
            Each::Show(detail) => {
                adoption::report_progress(adoption.take(), report, || session.sample(detail, false))?;
                report(Update::Snapshot(Box::new(session.snapshot())));
            }
            Each::Remember => session.sample(Detail::Suspects, false)?,
        }
        // A sample that took longer than the interval is followed by at least half an interval of rest.
        let interval = session.interval();
        next = (next + interval).max(Instant::now() + interval / 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_that_wait_do_not_pile_up_and_the_last_one_comes() {
        let (sender, mut updates) = channel(WAITING);
        (0..10 * WAITING).for_each(|_| send_update(Update::Snapshot(Box::default()), &sender));
        assert_eq!(updates.len(), WAITING);
        let watcher = thread::spawn(move || send_update(Update::Last(Box::default()), &sender));
        let received: Vec<Update> = std::iter::from_fn(|| updates.blocking_recv()).collect();
        assert!(watcher.join().is_ok());
        assert_eq!(received.len(), WAITING + 1);
        assert!(matches!(received.last(), Some(Update::Last(_))));
    }

    #[test]
    fn a_watcher_with_an_update_to_send_ends_with_its_receiver() {
        let (sender, mut updates) = channel(1);
        send_update(Update::Snapshot(Box::default()), &sender);
        let watcher = thread::spawn(move || send_update(Update::Last(Box::default()), &sender));
        updates.close();
        assert!(watcher.join().is_ok());
    }

    #[test]
    fn an_order_wakes_a_watcher_that_rests() {
        let (orders, received) = mpsc::channel();
        let watcher = thread::spawn(move || {
            loop {
                match received.try_recv() {
                    Ok(order) => return order,
                    Err(_) => thread::park_timeout(Duration::from_secs(3600)),
                }
            }
        });
        // The watcher should rest by now. If it does not, the test shows nothing, but does not fail either.
        thread::sleep(Duration::from_millis(100));
        Handle { orders, watcher: Some(watcher.thread().clone()) }.send(Control::Stop);
        assert_eq!(watcher.join().unwrap(), Control::Stop);
    }
}
