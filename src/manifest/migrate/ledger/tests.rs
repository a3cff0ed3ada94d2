use super::*;
use crate::durable::{SimulatedDisk, read_file};

fn withdrawn(line: u64) -> LedgerEntry {
    LedgerEntry::Withdrawn { file: format!("f{line}"), line }
}

fn open(disk: &SimulatedDisk, known: LedgerPosition) -> (Ledger, Vec<u64>) {
    let mut seen = Vec::new();
    let visit = |line: LedgerLine| {
        seen.push(line.number);
        Ok(())
    };
    let ledger = Ledger::open(disk, Path::new("/run"), "r", known, visit).unwrap();
    (ledger, seen)
}

#[test]
fn a_reopened_ledger_continues_the_chain() {
    let disk = SimulatedDisk::with_directories(&[Path::new("/run")]);
    let (mut ledger, seen) = open(&disk, LedgerPosition::START);
    assert!(seen.is_empty());
    ledger.append(withdrawn(1)).unwrap();
    let first = ledger.sync().unwrap();
    let (mut ledger, seen) = open(&disk, first);
    assert!(seen.is_empty());
    assert_eq!(ledger.append(withdrawn(2)).unwrap(), 2);
    ledger.sync().unwrap();
    assert_eq!(open(&disk, first).1, [2]);
    assert_eq!(open(&disk, LedgerPosition::START).1, [1, 2]);
}

#[test]
fn a_torn_line_is_cut_off_and_a_changed_one_is_refused() {
    let path = Path::new("/run").join(FILE_NAME);
    let disk = SimulatedDisk::with_directories(&[Path::new("/run")]);
    let (mut ledger, _) = open(&disk, LedgerPosition::START);
    for line in 1..4 {
        ledger.append(withdrawn(line)).unwrap();
    }
    let end = ledger.sync().unwrap();
    disk.open_file(&path).unwrap().write_all_at(end.len_bytes, b"{\"number\":4").unwrap();
    assert_eq!(open(&disk, LedgerPosition::START).1, [1, 2, 3]);
    let bytes = read_file(&disk, &path, 9999).unwrap();
    assert_eq!(bytes.len() as u64, end.len_bytes);
    let at = bytes.windows(2).position(|pair| pair == b"f2").unwrap() as u64;
    disk.open_file(&path).unwrap().write_all_at(at, b"f9").unwrap();
    let error = for_each_line(&disk, Path::new("/run"), |_| Ok(())).unwrap_err();
    assert!(error.to_string().contains("line 3 does not follow"), "{error}");
    assert!(error.next_step().unwrap().contains("--restart"));
    disk.open_file(&path).unwrap().set_len(10).unwrap();
    assert!(Ledger::open(&disk, Path::new("/run"), "r", end, |_| Ok(())).is_err());
}

#[test]
fn a_ledger_that_is_gone_cut_or_another_one_is_noticed_and_can_be_left() {
    type Damage = fn(&SimulatedDisk, &Path, &[u64]);
    let damages: [(Damage, &str, u64); 4] = [
        (|disk, path, _| disk.remove_file(path).unwrap(), "the ledger is gone, of 3 lines", 0),
        (|disk, path, _| disk.open_file(path).unwrap().set_len(0).unwrap(), "the ledger is gone, of 3 lines", 0),
        (
            |disk, path, ends| disk.open_file(path).unwrap().set_len(ends[1]).unwrap(),
            "the ledger was cut short: 2 lines of 3",
            2,
        ),
        (
            |disk, path, ends| disk.open_file(path).unwrap().write_all_at(ends[1] - 3, b"X").unwrap(),
            "the ledger was cut short: 1 lines of 3",
            1,
        ),
    ];
    for (damage, expected, lines) in damages {
        let directory = Path::new("/run");
        let disk = SimulatedDisk::with_directories(&[directory]);
        let (mut ledger, _) = open(&disk, LedgerPosition::START);
        let mut ends = Vec::new();
        for line in 1..4 {
            ledger.append(withdrawn(line)).unwrap();
            ends.push(ledger.sync().unwrap().len_bytes);
        }
        let known = ledger.sync().unwrap();
        damage(&disk, &directory.join(FILE_NAME), &ends);
        let mut seen = 0;
        let (mut salvaged, lost) = Ledger::salvage(&disk, directory, known, |_| {
            seen += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!((lost.as_deref(), seen), (Some(expected), lines));
        assert_eq!(salvaged.append(withdrawn(9)).unwrap(), lines + 1);
        let known = salvaged.sync().unwrap();
        assert_eq!(Ledger::salvage(&disk, directory, known, |_| Ok(())).unwrap().1, None);
    }
}

#[test]
fn what_is_cut_off_is_kept_each_time() {
    let directory = Path::new("/run");
    let disk = SimulatedDisk::with_directories(&[directory]);
    for rubbish in [b"first\n", b"other\n"] {
        open(&disk, LedgerPosition::START);
        disk.open_file(&directory.join(FILE_NAME)).unwrap().write_all_at(0, rubbish).unwrap();
        Ledger::salvage(&disk, directory, LedgerPosition::START, |_| Ok(())).unwrap();
    }
    assert_eq!(read_file(&disk, &directory.join(TORN_NAME), 99).unwrap(), b"first\n");
    assert_eq!(read_file(&disk, &directory.join("ledger.torn.2"), 99).unwrap(), b"other\n");
}
