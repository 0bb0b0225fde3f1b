//! Which container, pod or unit a process belongs to, from the path of its control group.
//!
//! Knows the paths of docker, containerd, CRI-O and podman with both cgroup drivers (`cgroupfs` and `systemd`), and those
//! of systemd itself, in control groups of version 1 and 2.

use leaktrace_model::Placement;

/// Length of a container id in hexadecimal digits.
const CONTAINER_ID: usize = 64;

/// Reads the text of `/proc/PID/cgroup`: lines of `hierarchy:controllers:path`.
pub(super) fn placement(text: &str) -> Placement {
    let path = |line: &str| line.splitn(3, ':').nth(2).map(str::to_owned);
    let unified = text.lines().find(|line| line.starts_with("0::")).and_then(path);
    let named = text.lines().find(|line| line.contains(":name=systemd:")).and_then(path);
    let longest = text.lines().filter_map(path).max_by_key(String::len);
    // On a mixed host the unified path may be just "/". Then another path is used.
    let cgroup = [unified, named, longest]
        .into_iter()
        .flatten()
        .find(|path| path != "/")
        .or_else(|| (!text.is_empty()).then(|| "/".to_owned()));
    let Some(cgroup) = cgroup else { return Placement::default() };
    Placement { container: container(&cgroup), pod: pod(&cgroup), unit: unit(&cgroup), cgroup: Some(cgroup) }
}

/// The innermost part that is a container id, bare or as `RUNTIME-ID.scope`.
fn container(path: &str) -> Option<String> {
    path.rsplit('/').find_map(|part| {
        let part = part.strip_suffix(".scope").unwrap_or(part);
        let id = part.rsplit(['-', ':']).next()?;
        (id.len() == CONTAINER_ID && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| id.to_ascii_lowercase())
    })
}

/// The UID behind `pod`: `pod1234-…` (cgroupfs) or `…-pod1234_….slice` (systemd, which takes dashes for its own).
fn pod(path: &str) -> Option<String> {
    const UID: usize = 36;
    path.split(['/', ':']).find_map(|part| {
        let part = part.strip_suffix(".slice").unwrap_or(part);
        let at = part.rfind("pod")?;
        let uid = part[at + 3..].replace('_', "-");
        let bare = uid.len() == UID || uid.len() == UID - 4;
        let clean = uid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        (bare && clean).then_some(uid)
    })
}

/// The innermost service or scope that is not a container's.
fn unit(path: &str) -> Option<String> {
    path.rsplit('/')
        .find(|part| part.ends_with(".service") || (part.ends_with(".scope") && container(part).is_none()))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn every_runtime_and_driver_is_recognized() {
        for path in [
            format!("0::/docker/{ID}"),
            format!("0::/system.slice/docker-{ID}.scope"),
            format!("0::/machine.slice/libpod-{ID}.scope/container"),
            format!(
                "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod12345678_1234_1234_1234_123456789abc.slice/cri-containerd-{ID}.scope"
            ),
            format!("0::/kubepods/besteffort/pod12345678-1234-1234-1234-123456789abc/{ID}"),
            format!("0::/kubepods.slice/kubepods-pod12345678_1234_1234_1234_123456789abc.slice/crio-{ID}.scope"),
            format!(
                "0::/system.slice/containerd.service/kubepods-burstable-pod12345678_1234_1234_1234_123456789abc.slice:cri-containerd:{ID}"
            ),
            format!("12:cpu,cpuacct:/docker/{ID}\n1:name=systemd:/docker/{ID}\n0::/"),
        ] {
            let found = placement(&path);
            assert_eq!(found.container.as_deref(), Some(ID), "{path}");
            if path.contains("pod1234") {
                assert_eq!(found.pod.as_deref(), Some("12345678-1234-1234-1234-123456789abc"), "{path}");
            }
        }
    }

    #[test]
    fn a_service_is_a_unit_and_no_container() {
        let found = placement("0::/system.slice/ssh.service\n");
        assert_eq!((found.unit.as_deref(), found.container), (Some("ssh.service"), None));
        let found = placement("0::/user.slice/user-1000.slice/session-3.scope");
        assert_eq!(found.unit.as_deref(), Some("session-3.scope"));
    }

    #[test]
    fn rubbish_has_no_placement() {
        assert_eq!(placement(""), Placement::default());
        assert_eq!(placement("::::").container, None);
        assert_eq!(placement("0::/podpodpod").pod, None);
    }
}
