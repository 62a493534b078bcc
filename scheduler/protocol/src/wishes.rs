//! What a program's user may wish for it: the names of the variables, and how their values are read. The library, the
//! container programs and the scheduler read them alike.
use crate::{Bytes, quantity};

/// What the names of our variables begin with.
pub const PREFIX: &str = "NVSHARE_";
/// In a container's policy, what begins a line for the program's user and for operators.
pub const POLICY_REMARK: &str = "!";
/// What an exec into a container asks for and does not get, one line each, for the same people. The container programs set
/// it; it is no setting.
pub const EXEC_REMARKS: &str = "NVSHARE_EXEC_REMARKS";

/// One wish.
#[derive(Debug)]
pub struct Wish {
    pub variable: &'static str,
    /// What it may be, for errors.
    pub allowed: &'static str,
    /// Whether a value is understood.
    pub understands: fn(&str) -> bool,
}

pub const MEM_LIMIT: Wish = Wish {
    variable: "NVSHARE_MEM_LIMIT",
    allowed: quantity::SIZE,
    understands: |text| memory_limit(text).is_some(),
};
pub const WEIGHT: Wish =
    Wish { variable: "NVSHARE_WEIGHT", allowed: "1 to 1000", understands: |text| weight(text).is_some() };
pub const PRIORITY: Wish = Wish {
    variable: "NVSHARE_PRIORITY",
    allowed: "low, normal, high",
    understands: |text| priority(text).is_some(),
};
pub const TIME_SHARE: Wish = Wish {
    variable: "NVSHARE_TIME_SHARE",
    allowed: quantity::PERCENT,
    understands: |text| quantity::percent(text).is_some(),
};
pub const ENGINE: Wish = Wish {
    variable: "NVSHARE_ENGINE",
    allowed: "auto, swap, managed, plain",
    understands: |text| one_of(&ENGINES, text).is_some(),
};

/// The job of several processes that a process is of.
pub const GANG: Wish = Wish {
    variable: "NVSHARE_GANG",
    allowed: "auto, learn, off, or a name of at most 128 characters without spaces",
    understands: gang,
};

pub const WISHES: [&Wish; 6] = [&MEM_LIMIT, &WEIGHT, &PRIORITY, &TIME_SHARE, &ENGINE, &GANG];

/// The wish that this variable expresses.
#[must_use]
pub fn named(variable: &str) -> Option<&'static Wish> {
    WISHES.into_iter().find(|wish| wish.variable == variable)
}

/// Variables of the library that are no wishes.
pub const OTHER_VARIABLES: [&str; 7] = [
    "NVSHARE_SOCKET",
    "NVSHARE_LOG",
    "NVSHARE_PREFETCH",
    "NVSHARE_MOVE",
    "NVSHARE_DEBUG",
    "NVSHARE_ENABLE_SINGLE_OVERSUB",
    "NVSHARE_DEEPBIND",
];
/// Variables of the container programs.
pub const CONTAINER_VARIABLES: [&str; 3] = ["NVSHARE_ENABLE", "NVSHARE_CONFIG_FILE", "NVSHARE_RUNTIME_CHAIN"];

pub const PRIORITIES: [&str; 3] = ["low", "normal", "high"];
pub const ENGINES: [&str; 4] = ["auto", "swap", "managed", "plain"];

/// The most that is allocated on each device: something.
#[must_use]
pub fn memory_limit(text: &str) -> Option<Bytes> {
    quantity::size(text).filter(|limit| *limit > Bytes::ZERO)
}

#[must_use]
pub fn weight(text: &str) -> Option<u32> {
    quantity::whole(text).filter(|weight| (1..=1000).contains(weight))
}

/// As the scheduler is told: 0 low, 1 normal, 2 high.
#[must_use]
pub fn priority(text: &str) -> Option<u32> {
    one_of(&PRIORITIES, text).map(|at| at as u32)
}

/// The longest name of a gang, in bytes.
pub const LONGEST_GANG: usize = 128;

/// What a process says in place of a gang's name that is never to be of one.
pub const NO_GANG: &str = "off";

/// A name that can be shown to people, and is short. `auto`, `learn` and `off` mean more.
#[must_use]
pub fn gang(name: &str) -> bool {
    !name.is_empty() && name.len() <= LONGEST_GANG && name.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Where a word stands in a list, in capitals or not.
#[must_use]
pub fn one_of(words: &[&str], text: &str) -> Option<usize> {
    words.iter().position(|word| word.eq_ignore_ascii_case(text.trim()))
}

/// Every variable that one of our programs reads.
pub fn variables() -> impl Iterator<Item = &'static str> {
    WISHES.map(|wish| wish.variable).into_iter().chain(OTHER_VARIABLES).chain(CONTAINER_VARIABLES)
}

/// The variable that was meant by this name, which begins as ours do, in capitals or not, and is none. None: it seems to be
/// another program's.
#[must_use]
pub fn meant(name: &str) -> Option<&'static str> {
    // Engines take names with a dash, and no program reads them.
    let form = |text: &str| text.to_ascii_uppercase().replace(['-', '.'], "_");
    let begins = name.get(..PREFIX.len()).is_some_and(|begin| form(begin) == PREFIX);
    if !begins || name == EXEC_REMARKS {
        return None;
    }
    let rest = &form(&name[PREFIX.len()..]);
    let known = || variables().filter_map(|known| Some((known, known.strip_prefix(PREFIX)?)));
    if let Some((known, _)) = known().find(|(_, known)| known == rest) {
        return (known != name).then_some(known);
    }
    let near = known().filter(|(_, known)| is_like(known, rest));
    near.min_by_key(|(_, known)| distance(&letters(known), &letters(rest))).map(|(known, _)| known)
}

/// The one of `known` that was most likely meant by `word`.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.into_iter().filter(|known| is_like(known, word));
    near.min_by_key(|known| distance(&letters(known), &letters(word)))
}

/// Whether one was written for the other: few letters differ, or parts begin alike.
fn is_like(known: &str, word: &str) -> bool {
    let (a, b) = (letters(known), letters(word));
    let parts = |text: &str| {
        text.split(['_', '-', '.']).map(letters).filter(|part| part.len() >= 3).collect::<Vec<_>>()
    };
    let begins = parts(known)
        .iter()
        .any(|one| parts(word).iter().any(|other| one.starts_with(other) || other.starts_with(one)));
    begins || distance(&a, &b) <= (a.len().max(b.len()) / 3).min(2)
}

/// Without what people leave out.
fn letters(word: &str) -> Vec<u8> {
    word.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase()).take(64).collect()
}

/// How many letters have to be put in, taken out or changed (Levenshtein).
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_read_as_people_write_them() {
        assert_eq!(["low", "HIGH", "Normal", "2"].map(priority), [Some(0), Some(2), Some(1), None]);
        assert_eq!((weight("3"), weight("0"), weight("x")), (Some(3), None, None));
        assert_eq!(
            (memory_limit("8g"), memory_limit("0"), memory_limit("50%")),
            (Some(Bytes(8 << 30)), None, None)
        );
        assert!((ENGINE.understands)("Swap") && !(ENGINE.understands)("fast"));
        let longest = "x".repeat(LONGEST_GANG);
        assert!(["auto", "off", "job-7", &longest].into_iter().all(GANG.understands));
        assert!(!["", "two words", "\u{1b}[2J", "é", &(longest + "x")].into_iter().any(GANG.understands));
    }

    #[test]
    fn a_misspelt_variable_is_known_by_what_was_meant() {
        for (name, meant_by) in [
            ("NVSHARE_MEMLIMIT", "NVSHARE_MEM_LIMIT"),
            ("NVSHARE_MEMORY_LIMIT", "NVSHARE_MEM_LIMIT"),
            ("NVSHARE_MEMORY", "NVSHARE_MEM_LIMIT"),
            ("NVSHARE_LIMIT", "NVSHARE_MEM_LIMIT"),
            ("NVSHARE_PRIO", "NVSHARE_PRIORITY"),
            ("NVSHARE_WIEGHT", "NVSHARE_WEIGHT"),
            ("NVSHARE_TIMESHARE", "NVSHARE_TIME_SHARE"),
            ("nvshare_mem_limit", "NVSHARE_MEM_LIMIT"),
            ("Nvshare_Weight", "NVSHARE_WEIGHT"),
            ("nvshare_memlimit", "NVSHARE_MEM_LIMIT"),
            ("NVSHARE-MEM-LIMIT", "NVSHARE_MEM_LIMIT"),
            ("nvshare.priority", "NVSHARE_PRIORITY"),
        ] {
            assert_eq!(meant(name), Some(meant_by), "{name}");
        }
        for name in [
            "NVSHARE_MEM_LIMIT",
            "NVSHARE_ENABLE",
            "NVSHARE_HOME",
            "NVSHARE_POD_NAME",
            "NVSHARE_TEST_DRIVER",
            "nvshare_home",
            EXEC_REMARKS,
            "NVSHARÉ_WEIGHT",
            "nvshare",
            "PATH",
        ] {
            assert_eq!(meant(name), None, "{name}");
        }
        assert_eq!(nearest("memlimit", ["mem-limit", "weight"]), Some("mem-limit"));
        assert_eq!(nearest("colour", ["mem-limit", "weight"]), None);
    }
}
