//! The text of floats compared with Python's `repr`, which the original writes.

mod python_alone {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};

    use haul::manifest::document::json::push_float;

    /// Reads the bits of a float in each line and prints its text.
    const PROGRAM: &str = "\
import struct, sys
for line in sys.stdin:
    sys.stdout.write(repr(struct.unpack('<d', int(line).to_bytes(8, 'little'))[0]) + '\\n')";

    /// SplitMix64.
    struct Random(u64);

    impl Random {
        fn bits(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^ (z >> 31)
        }

        /// A finite float: any bits, an instant in microseconds, a neighbour of a power of two, or a sum of few bits.
        fn float(&mut self) -> f64 {
            loop {
                let bits = self.bits();
                let value = match bits % 4 {
                    0 => f64::from_bits(self.bits()),
                    1 => (1.5e9 + 0.3e9 * (self.bits() >> 11) as f64 / (1_u64 << 53) as f64) * 1e6,
                    2 => f64::from_bits((((bits >> 8) % 0x7fe) << 52).wrapping_add((bits >> 32) % 3).wrapping_sub(1)),
                    _ => (self.bits() >> ((bits >> 8) % 64)) as f64 / (1_u64 << ((bits >> 16) % 64)) as f64,
                };
                if value.is_finite() {
                    return value;
                }
            }
        }
    }

    /// Compares as many floats as `HAUL_FLOATS` says, 20,000 if it is not set. `HAUL_CRASH_SEED` chooses others.
    #[test]
    #[ignore = "needs python3"]
    fn floats_are_written_as_python_writes_them() {
        let number =
            |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().expect("a number"));
        let (count, seed) = (number("HAUL_FLOATS", 20_000), number("HAUL_CRASH_SEED", 0));
        let mut python =
            Command::new("python3").args(["-c", PROGRAM]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = python.stdin.take().unwrap();
        let writer = std::thread::spawn(move || {
            let mut random = Random(seed);
            for _ in 0..count.div_ceil(1000) {
                let lines: String = (0..1000).map(|_| format!("{}\n", random.float().to_bits())).collect();
                input.write_all(lines.as_bytes()).unwrap();
            }
        });
        let mut random = Random(seed);
        let (mut out, mut compared) = (Vec::new(), 0);
        for expected in BufReader::new(python.stdout.take().unwrap()).lines() {
            let value = random.float();
            out.clear();
            push_float(&mut out, value);
            assert_eq!(std::str::from_utf8(&out).unwrap(), expected.unwrap(), "bits {:#x}", value.to_bits());
            compared += 1;
        }
        writer.join().unwrap();
        assert!(python.wait().unwrap().success() && compared >= count, "{compared} of {count} floats");
        println!("{compared} floats compared");
    }
}
