//! What the system says of this process and of the computer. Where it says nothing, as without `/proc`, the answer is
//! `None`.

use std::path::Path;
use std::thread::available_parallelism;
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use super::file_systems::kind_of;
use super::process::ticks_used;

/// Where control groups are mounted.
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";

/// Returns the resident memory of this process, in bytes.
pub fn rss_bytes() -> Option<u64> {
    pages_resident(&read("/proc/self/statm")?)?.checked_mul(rustix::param::page_size() as u64)
}

/// Returns the most resident memory that this process has had, in bytes.
pub fn rss_peak_bytes() -> Option<u64> {
    kibibytes(&read("/proc/self/status")?, "VmHWM:")
}

/// Returns the processor time of this process, of user and system, of all threads.
pub fn cpu_time() -> Option<Duration> {
    let ticks = ticks_used(&read("/proc/self/stat")?)?;
    Some(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second().max(1) as f64))
}

/// Returns the name and the release of the kernel: `Linux 6.8.0`.
pub fn kernel() -> String {
    let names = rustix::system::uname();
    format!("{} {}", names.sysname().to_string_lossy(), names.release().to_string_lossy())
}

/// Returns the model of the processor.
pub fn processor() -> Option<String> {
    model_name(&read("/proc/cpuinfo")?)
}

/// Returns the number of processors that this process may use.
pub fn processors() -> u64 {
    available_parallelism().map_or(1, |number| number.get() as u64)
}

/// Returns the memory of the computer, in bytes.
pub fn memory_bytes() -> Option<u64> {
    kibibytes(&read("/proc/meminfo")?, "MemTotal:")
}

/// Returns the memory that programs can take without others losing theirs, in bytes.
pub fn available_memory_bytes() -> Option<u64> {
    kibibytes(&read("/proc/meminfo")?, "MemAvailable:")
}

/// What the control group of this process allows, those above it included.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ControlGroupLimits {
    /// Memory, in bytes.
    pub memory_bytes: Option<u64>,
    /// Processors.
    pub processors: Option<f64>,
}

/// Returns what the control group of this process allows.
pub fn control_group_limits() -> ControlGroupLimits {
    let group = read("/proc/self/cgroup").and_then(|text| unified_group(&text)).unwrap_or_default();
    limits_of(Path::new(CONTROL_GROUPS), &group)
}

/// The file system of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSystemName {
    /// Its type: `ext4`.
    pub kind: String,
    /// Its device, as `major:minor`.
    pub device: String,
}

/// Returns the file system of an existing path, following links.
pub fn file_system_name(path: &Path) -> Option<FileSystemName> {
    let found = statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS).ok()?;
    let device = format!("{}:{}", found.stx_dev_major, found.stx_dev_minor);
    Some(FileSystemName { kind: kind_of(path)?, device })
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// The second number of `/proc/self/statm`.
fn pages_resident(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The number behind a name, of a line such as `VmHWM:      1234 kB`, in bytes.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

fn model_name(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The path of the process in the unified hierarchy, without its first slash.
fn unified_group(cgroup: &str) -> Option<String> {
    cgroup.lines().find_map(|line| line.strip_prefix("0::/")).map(str::to_owned)
}

/// Returns the least that the group and those above it allow.
fn limits_of(root: &Path, group: &str) -> ControlGroupLimits {
    let mut limits = ControlGroupLimits::default();
    for directory in root.join(group).ancestors().take_while(|directory| directory.starts_with(root)) {
        let memory = read(directory.join("memory.max")).and_then(|text| text.trim().parse().ok());
        let processors = read(directory.join("cpu.max")).and_then(|text| processors_of(&text));
        limits.memory_bytes = limits.memory_bytes.into_iter().chain(memory).min();
        limits.processors = limits.processors.into_iter().chain(processors).reduce(f64::min);
    }
    limits
}

/// Time and period, `150000 100000`; or `max 100000` without a limit.
fn processors_of(cpu_max: &str) -> Option<f64> {
    let (time, period) = cpu_max.trim().split_once(' ')?;
    let (time, period) = (time.parse::<f64>().ok()?, period.parse::<f64>().ok()?);
    (period > 0.0).then_some(time / period)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests lay out files")]

    use std::fs;

    use super::*;

    #[test]
    fn the_numbers_of_this_process_are_plausible() {
        let (now, peak) = (rss_bytes().unwrap(), rss_peak_bytes().unwrap());
        assert!(now > 100 << 10 && peak > 100 << 10, "{now} {peak}");
        assert!(cpu_time().is_some() && memory_bytes().unwrap() > now);
        assert!(kernel().starts_with("Linux ") && processors() > 0);
    }

    #[test]
    fn what_is_not_there_is_unknown() {
        assert_eq!((pages_resident(""), pages_resident("1")), (None, None));
        assert_eq!(kibibytes("VmPeak:\t  5 kB\nVmHWM:\t   7 kB\n", "VmHWM:"), Some(7 << 10));
        assert_eq!((kibibytes("VmHWM:", "VmHWM:"), kibibytes("", "VmHWM:")), (None, None));
        assert_eq!(model_name("processor\t: 0\nmodel name\t: A B\n").as_deref(), Some("A B"));
        assert_eq!((model_name("processor : 0"), read("/proc/self/nothing")), (None, None));
        assert_eq!(file_system_name(Path::new("/nowhere")), None);
    }

    #[test]
    fn the_group_above_may_allow_less() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        assert_eq!(limits_of(root.path(), "a/b"), ControlGroupLimits::default());
        fs::write(root.path().join("a/memory.max"), "1000\n").unwrap();
        fs::write(inner.join("memory.max"), "max\n").unwrap();
        fs::write(root.path().join("a/cpu.max"), "400000 100000\n").unwrap();
        fs::write(inner.join("cpu.max"), "150000 100000\n").unwrap();
        let expected = ControlGroupLimits { memory_bytes: Some(1000), processors: Some(1.5) };
        assert_eq!(limits_of(root.path(), "a/b"), expected);
        assert_eq!(unified_group("1:cpu:/x\n0::/a/b\n").as_deref(), Some("a/b"));
        assert_eq!((unified_group("1:cpu:/x\n"), processors_of("max 100000\n")), (None, None));
    }

    #[test]
    fn a_file_system_has_a_type_and_a_device() {
        let found = file_system_name(Path::new("/proc")).unwrap();
        assert_eq!(found.kind, "proc");
        assert!(found.device.contains(':'));
    }
}
