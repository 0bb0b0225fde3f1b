//! What is written of a row gives the same row, and any cells give one.

use super::*;
use proptest::prelude::*;

fn now() -> impl Strategy<Value = Now> {
    (any::<u64>(), any::<u16>(), any::<u32>()).prop_map(|(now_ns, number, later)| {
        let at = Moment { boot_ns: now_ns.saturating_add(later.into()), unix_ns: 0 };
        Now::of(&at, &Pass { now_ns, number, ..Pass::default() })
    })
}

fn array<const N: usize>() -> impl Strategy<Value = [u64; N]> {
    proptest::collection::vec(any::<u64>(), N).prop_map(|numbers| {
        let mut array = [0; N];
        array.copy_from_slice(&numbers);
        array
    })
}

fn comm() -> impl Strategy<Value = Comm> {
    any::<u128>().prop_map(|bytes| Comm(bytes.to_be_bytes()))
}

/// An address as the model has it: a mapped one is IPv4.
fn address() -> impl Strategy<Value = SocketAddr> {
    let ip = prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)).to_canonical()),
        Just(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
    ];
    (ip, any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

fn direction() -> impl Strategy<Value = Direction> {
    (0..3_u8).prop_map(Direction::from_raw)
}

fn ticks() -> impl Strategy<Value = Ticks> {
    any::<u32>().prop_map(Ticks)
}

/// Any socket that the model can hold: an empty queue has no span.
fn observed() -> impl Strategy<Value = Observed> {
    let identity = (any::<u64>(), any::<u64>(), address(), address(), any::<u32>(), any::<u8>(), direction());
    let who = (any::<u32>(), any::<u32>(), any::<(u32, u32)>(), any::<u32>(), any::<u32>());
    let spans = (any::<u64>(), ticks(), ticks(), ticks(), ticks());
    let amounts = (array::<3>(), any::<[u32; 3]>(), any::<bool>(), any::<bool>());
    let flags = (any::<[bool; 7]>(), any::<Option<bool>>());
    (identity, who, spans, amounts, flags).prop_map(|(identity, who, spans, amounts, flags)| {
        let (sk, cookie, local, remote, netns, state, direction) = identity;
        let (callsite, tid, held_by, user_timeout_ms, verdicts) = who;
        let (age_ns, in_state, idle, unread, unacked) = spans;
        let ([bytes_received, bytes_sent, bytes_acked], [rx, tx, memory_bytes], has_rx, has_tx) = amounts;
        let ([age_exact, attributed, keepalive, in_accept_queue, orphan, was_connected, is_held], waiters) = flags;
        let (rx_queue_bytes, tx_queue_bytes) = (if has_rx { rx } else { 0 }, if has_tx { tx } else { 0 });
        Observed {
            sk,
            cookie: NonZeroU64::new(cookie),
            local,
            remote,
            netns: NonZeroU32::new(netns),
            state: TcpState::from_raw(state),
            direction,
            seen_by: if is_held { SeenBy::Holders } else { SeenBy::Sampling },
            callsite,
            tid: NonZeroU32::new(tid),
            held_by: (held_by.0 != 0 && is_held).then_some(held_by),
            age_ns,
            age_exact,
            attributed,
            in_state,
            idle,
            unread: (rx_queue_bytes > 0).then_some(unread),
            unacked: (tx_queue_bytes > 0).then_some(unacked),
            bytes_received,
            bytes_sent,
            bytes_acked,
            rx_queue_bytes,
            tx_queue_bytes,
            memory_bytes,
            user_timeout_ms: NonZeroU32::new(user_timeout_ms),
            keepalive,
            waiters,
            in_accept_queue,
            orphan,
            was_connected,
            verdicts: Verdicts(verdicts),
        }
    })
}

/// Any call site that the kernel side can count; where none is open there is no oldest one.
fn site() -> impl Strategy<Value = (SiteCounters, u64)> {
    let key = (any::<u64>(), any::<u32>(), direction());
    let counts = (array::<3>(), array::<LIFETIME_CELLS>());
    let sums = (any::<u32>(), any::<bool>(), any::<u32>(), any::<[u64; 2]>(), any::<[u32; Verdict::COUNT]>());
    (key, comm(), counts, any::<u32>(), sums, any::<u64>(), any::<bool>()).prop_map(
        |((stack_hash, pid, direction), comm, counts, pass, sums, age_ns, exact)| {
            let ([opened, closed, longest_ns], lifetimes) = counts;
            let (open, has_open, flagged, [rx_queue_bytes, memory_bytes], verdicts) = sums;
            let open = if has_open { open } else { 0 };
            let sums = Sums {
                open: open.into(),
                flagged: flagged.into(),
                rx_queue_bytes,
                memory_bytes,
                oldest: (open > 0).then_some(Oldest { age_ns: 0, exact }),
                verdicts: VerdictCounts::new(verdicts.map(u64::from)),
            };
            let key = SiteKey { stack_hash, pid, direction };
            (SiteCounters { key, comm, opened, closed, longest_ns, lifetimes, pass, sums }, age_ns)
        },
    )
}

proptest! {
    #[test]
    fn every_socket_comes_back_as_it_was(socket in observed(), now in now()) {
        prop_assert_eq!(to_socket(&of_socket(&socket, now), now), socket);
    }

    #[test]
    fn every_call_site_comes_back_as_it_was((mut site, age_ns) in site(), index: u32, now in now()) {
        if let Some(oldest) = &mut site.sums.oldest {
            // Nothing is older than the clock.
            oldest.age_ns = age_ns % now.at_ns.saturating_add(1);
        }
        prop_assert_eq!(to_callsite(&of_callsite(index, &site, now), now), (index, site));
    }

    #[test]
    fn every_holder_and_process_comes_back_as_it_was(
        (sk, pid, fd, fds, sockets) in any::<(u64, u32, u32, u32, u32)>(),
        (memory_bytes, rx_queue_bytes) in any::<(u64, u64)>(),
        comm in comm(),
    ) {
        let holder = SocketHolder { sk, pid, fd };
        prop_assert_eq!(to_holder(&of_holder(&holder)), holder);
        let process = HolderProcess { pid, comm, fds, sockets, memory_bytes, rx_queue_bytes };
        prop_assert_eq!(to_process(&of_process(&process)), process);
    }

    #[test]
    fn any_cells_give_a_row_that_comes_back_as_it_was(
        socket in array::<SOCKET_CELLS>(),
        site in array::<CALLSITE_CELLS>(),
        holder in array::<HOLDER_CELLS>(),
        process in array::<PROCESS_CELLS>(),
        now in now(),
    ) {
        let socket = to_socket(&socket, now);
        prop_assert_eq!(to_socket(&of_socket(&socket, now), now), socket);
        let (index, site) = to_callsite(&site, now);
        prop_assert_eq!(to_callsite(&of_callsite(index, &site, now), now), (index, site));
        prop_assert_eq!(of_holder(&to_holder(&holder)), holder);
        let process = to_process(&process);
        prop_assert_eq!(to_process(&of_process(&process)), process);
    }
}

#[test]
fn a_socket_that_does_nothing_has_the_same_cells_a_second_later() {
    let at = |boot_ns| {
        let pass = Pass { now_ns: boot_ns, ..Pass::default() };
        Now::of(&Moment { boot_ns, unix_ns: 0 }, &pass)
    };
    let (first, second) = (5_000_000_000, 6_000_000_000);
    let ticks = |ns: u64| (ns >> Ticks::SHIFT) as u32;
    let socket = |now_ns: u64| Observed {
        age_ns: now_ns - 1_000_000_000,
        in_state: Ticks(ticks(now_ns) - 100),
        idle: Ticks(ticks(now_ns) - 120),
        ..Observed::default()
    };
    assert_eq!(of_socket(&socket(first), at(first)), of_socket(&socket(second), at(second)));
    let site = |now_ns: u64| {
        let oldest = Some(Oldest { age_ns: now_ns - 1_000_000_000, exact: true });
        SiteCounters { sums: Sums { open: 1, oldest, ..Sums::default() }, ..SiteCounters::default() }
    };
    assert_eq!(of_callsite(1, &site(first), at(first)), of_callsite(1, &site(second), at(second)));
}

/// One row in cells as version 1 has them. What it gives must not change.
#[test]
fn the_cells_of_version_1_mean_what_they_meant() {
    let now = Now::of(&Moment { boot_ns: 9_000, unix_ns: 0 }, &Pass { now_ns: 200 << 24, ..Pass::default() });
    let mut cells = [0; SOCKET_CELLS];
    cells[..7].copy_from_slice(&[7, 1 | 2 | 256 | 64 | 128, 11, 150 << 24, 5, 6, 8]);
    cells[7..11].copy_from_slice(&[0, 0xffff_0a00_0001, 0, 0]);
    cells[12..14].copy_from_slice(&[3, 0]);
    cells[17..19].copy_from_slice(&[42, 9]);
    cells[20..24].copy_from_slice(&[101, 191, 191, 0]);
    cells[24..29].copy_from_slice(&[1 << 9 | 1, 10, 443, 5000, 8 << 8 | 2]);
    let right = Observed {
        sk: 7,
        cookie: NonZeroU64::new(11),
        local: "10.0.0.1:443".parse().unwrap(),
        remote: "[::]:5000".parse().unwrap(),
        state: TcpState::CloseWait,
        direction: Direction::Accept,
        seen_by: SeenBy::Holders,
        held_by: Some((42, 9)),
        age_ns: 50 << 24,
        age_exact: false,
        attributed: false,
        in_state: Ticks(100),
        unread: Some(Ticks(10)),
        bytes_received: 5,
        bytes_sent: 6,
        bytes_acked: 8,
        rx_queue_bytes: 3,
        keepalive: true,
        waiters: Some(false),
        verdicts: [Verdict::CloseWait, Verdict::LongLived].into_iter().fold(Verdicts::NONE, |mut all, one| {
            all.insert(one);
            all
        }),
        ..Observed::default()
    };
    assert_eq!(to_socket(&cells, now), right);
}
