//! Addresses where no metric source is asked unless it is listed: those that lead back to the operator or its node, and
//! those where clouds tell a machine who it is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is special about an address where no metric source is asked unless it is listed; nothing for the others.
pub(super) fn special(address: IpAddr) -> Option<&'static str> {
    const METADATA: [IpAddr; 5] = [
        IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
        IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
        IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
        IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    ];
    let address = plain(address);
    let (is_unspecified, is_link_local) = match address {
        IpAddr::V4(v4) => (v4.octets().first() == Some(&0), v4.is_link_local()),
        IpAddr::V6(v6) => (v6.is_unspecified(), v6.is_unicast_link_local()),
    };
    if METADATA.contains(&address) {
        Some("a cloud's metadata")
    } else if address.is_loopback() {
        Some("a loopback address")
    } else if is_link_local {
        Some("a link-local address")
    } else if is_unspecified {
        Some("an unspecified address")
    } else if address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST) {
        Some("a multicast address")
    } else {
        None
    }
}

/// The IPv4 address that an IPv6 address stands for, where it does: mapped, compatible, or behind a translator (NAT64, 6to4).
pub(super) fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match v6.segments() {
        // :: and ::1 are IPv6's own.
        [0, 0, 0, 0, 0, 0, 0, _] => address,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            v4(high, low)
        }
        _ => address,
    }
}
