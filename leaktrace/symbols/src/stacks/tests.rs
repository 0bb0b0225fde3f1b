//! Stacks as the kernel side captures them, of programs that wait in a known function.

mod containers;
mod interpreters;

use super::*;
use crate::{
    DEFAULT_CACHE_BYTES, Symbolizer,
    testing::{Running, Scratch, frame_pointer_walk, take},
};
use std::process::Command;

const C: &str = r#"
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>
#define KEEP __attribute__((noinline, noclone))
static int fd; static volatile int sink;
KEEP int leak(int n) { struct sockaddr_in a; socklen_t l = sizeof a; int r = accept(fd, (void *) &a, &l); sink = r + n; return sink; }
KEEP int deeper(int n) { int r = n ? deeper(n - 1) + 1 : leak(3); sink = r; return r; }
KEEP void *thread(void *a) { sink = deeper(5); return a; }
int main(int argc, char **argv) {
  fd = socket(AF_INET, SOCK_STREAM, 0); listen(fd, 1); printf("ready\n"); fflush(stdout);
  if (argc > 1) { pthread_t t; pthread_create(&t, 0, thread, 0); pthread_join(t, 0); }
  else sink = deeper(9);
  return 0;
}
"#;

fn names(stacks: &Stacks, placed: &PlacedStack) -> Vec<String> {
    let mut symbolizer =
        Symbolizer::new(stacks.locator.modules().clone(), stacks.locator.images().clone(), DEFAULT_CACHE_BYTES);
    let frames = symbolizer.resolve(&placed.locations).into_iter();
    frames.map(|frames| frames.last().and_then(|frame| frame.symbol.clone()).unwrap_or_default()).collect()
}

fn program(flags: &str) -> Option<(Scratch, Command)> {
    let scratch = Scratch::new();
    scratch.write("a.c", C);
    scratch.run(&format!("cc {flags} -o a a.c -lpthread"))?;
    let command = Command::new(scratch.path("a"));
    Some((scratch, command))
}

#[test]
fn with_frame_pointers_the_caller_of_accept_is_there_and_the_root_is_known() {
    let Some((_scratch, mut command)) = program("-O2 -g -fno-omit-frame-pointer") else { return };
    let running = Running::start(&mut command);
    let mut maps = ProcessMaps::read(running.pid()).unwrap();
    let mut stacks = Stacks::default();
    let walked = frame_pointer_walk(running.pid());
    let chain = walked.chain();
    assert_ne!(chain.leaf_return, 0);
    let placed = stacks.place_chain(&mut maps, &chain);
    let names = names(&stacks, &placed);
    assert_eq!(names[1], "leak", "{names:?}");
    assert_eq!(names.iter().filter(|name| *name == "deeper").count(), 10, "{names:?}");
    assert!(names.contains(&"main".to_owned()), "{names:?}");
    assert_eq!((placed.quality, placed.reason), (StackQuality::Complete, None), "{names:?}");
}

#[test]
fn what_cannot_be_known_from_frame_pointers_is_said() {
    // With a second thread, glibc's accept has a frame, but no frame pointer.
    let Some((_scratch, mut command)) = program("-O2 -g -fno-omit-frame-pointer") else { return };
    let running = Running::start(command.arg("thread"));
    let mut maps = ProcessMaps::read(running.pid()).unwrap();
    let mut stacks = Stacks::default();
    let tid = running.other_thread();
    let placed = stacks.place_chain(&mut maps, &frame_pointer_walk(tid).chain());
    let by_pointer = names(&stacks, &placed);
    assert!(by_pointer.contains(&"deeper".to_owned()), "{by_pointer:?}");
    let complete = placed.quality == StackQuality::Complete;
    assert_eq!(complete, by_pointer.contains(&"leak".to_owned()), "{by_pointer:?} {:?}", placed.reason);
    // The walk by tables finds the missing frame.
    let placed = stacks.place_copy(&mut maps, &take(tid).copy());
    let by_table = names(&stacks, &placed);
    assert!(by_table.contains(&"leak".to_owned()) && by_table.contains(&"thread".to_owned()), "{by_table:?}");
    assert_eq!(placed.quality, StackQuality::Complete);
}

#[test]
fn without_frame_pointers_no_wrong_frame_gets_in() {
    let Some((_scratch, mut command)) = program("-O3 -g -fomit-frame-pointer") else { return };
    let running = Running::start(&mut command);
    let mut maps = ProcessMaps::read(running.pid()).unwrap();
    let mut stacks = Stacks::default();
    let whole = stacks.place_copy(&mut maps, &take(running.pid()).copy());
    assert_eq!(whole.quality, StackQuality::Complete);
    let placed = stacks.place_chain(&mut maps, &frame_pointer_walk(running.pid()).chain());
    let known: Vec<u64> = whole.locations.iter().map(|location| location.address).collect();
    assert!(placed.locations.iter().all(|location| known.contains(&location.address)), "{placed:?} {whole:?}");
}

#[test]
fn a_stack_without_a_user_stack_is_missing_and_says_why() {
    let mut maps = ProcessMaps::read(std::process::id()).unwrap();
    let chain = FrameChain { frames: &[], ended: ChainEnd::NoUserStack, leaf_return: 0 };
    let placed = Stacks::default().place_chain(&mut maps, &chain);
    assert_eq!((placed.quality, placed.reason), (StackQuality::Missing, Some(StackReason::KernelThread)));
}

#[test]
fn a_stack_of_garbage_is_cut_where_it_stops_to_make_sense() {
    let mut maps = ProcessMaps::read(std::process::id()).unwrap();
    let frames: Vec<u64> = (0..leaktrace_model::MAX_FRAMES as u64).map(|index| index * 0x1234_5678_9abc).collect();
    let chain = FrameChain { frames: &frames, ended: ChainEnd::Broken, leaf_return: 0 };
    let placed = Stacks::default().place_chain(&mut maps, &chain);
    assert_eq!(placed.quality, StackQuality::Truncated);
    assert_eq!(placed.locations.len(), 1);
}
