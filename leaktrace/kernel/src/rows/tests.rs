//! Translation to the model and back loses nothing.

use super::*;
use proptest::prelude::*;
use zerocopy::FromBytes;

/// Makes a row that the kernel side could write: fields without meaning are zero, and no address is a mapped one.
fn canonical(mut row: SocketRow) -> SocketRow {
    const FLAGS: u32 = 0x1ff;
    row.kind = row_kind::SOCKET;
    row.flags &= FLAGS;
    if row.flags & row_flags::WAITERS_KNOWN == 0 {
        row.flags &= !row_flags::WAITERS;
    }
    row.family = if row.family.is_multiple_of(2) { AF_INET } else { AF_INET6 };
    if row.family == AF_INET {
        row.local[4..].fill(0);
        row.remote[4..].fill(0);
    } else {
        // Not a mapped address.
        (row.local[0], row.remote[0]) = (0x20, 0x20);
    }
    row.direction %= 3;
    if row.rx_queue_bytes == 0 {
        row.unread = 0;
    }
    if row.tx_queue_bytes == 0 {
        row.unacked = 0;
    }
    if row.holder_tgid == 0 {
        row.holder_fd = 0;
    }
    row
}

fn any_row() -> impl Strategy<Value = SocketRow> {
    proptest::collection::vec(any::<u8>(), size_of::<SocketRow>())
        .prop_map(|bytes| SocketRow::read_from_bytes(&bytes).unwrap_or_default())
}

proptest! {
    #[test]
    fn every_socket_comes_back_as_it_was(any in any_row()) {
        let canonical = canonical(any);
        prop_assert_eq!(row(&observed(&canonical)), canonical);
    }

    #[test]
    fn any_bytes_are_judged_alike_before_and_after(any in any_row(), threshold: u32, stall: u32, idle: u32) {
        let limits = Limits {
            threshold: Duration::from_nanos(u64::from(threshold) << 32),
            stall: Ticks(stall).duration(),
            idle: Ticks(idle).duration(),
        };
        prop_assert_eq!(judge(&observed(&any), &limits), Verdicts::of(&any, &settings(&limits)));
    }
}

#[test]
fn a_mapped_address_reads_as_ipv4() {
    let mapped = "::ffff:10.0.0.1".parse::<Ipv6Addr>().unwrap().octets();
    assert_eq!(address(AF_INET6, mapped, 443).to_string(), "10.0.0.1:443");
    let other = "2001:db8::1".parse::<Ipv6Addr>().unwrap().octets();
    assert_eq!(address(AF_INET6, other, 443).to_string(), "[2001:db8::1]:443");
}

#[test]
fn the_age_of_the_oldest_counts_from_the_sample() {
    let sums = PassSums { open: 1, oldest_ns: 40, oldest_adopted: 1, ..PassSums::default() };
    assert_eq!(site_sums(&sums, 100).oldest, Some(Oldest { age_ns: 60, exact: false }));
    assert_eq!(site_sums(&PassSums::default(), 100).oldest, None);
}
