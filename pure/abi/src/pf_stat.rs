// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! The system calls of `pf_stat`, as its document has them.

/// `long pf_set_param(const char *process_name, size_t name_len)`: track a program.
pub const NR_SET_PARAM: u32 = 385;
/// `long pf_get_info(const char *process_name, size_t name_len, struct pf_stat *pf)`.
pub const NR_GET_INFO: u32 = 386;
/// `long pf_cleanup(void)`: track nothing any more.
pub const NR_CLEANUP: u32 = 387;

/// Most areas that are told of.
pub const MAX_AREAS: usize = 128;

/// Longest name of a program, without a NUL.
pub const MAX_NAME: usize = 15;

/// `struct pf_stat` on a 64-bit machine.
#[repr(C)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PfStat {
    /// Number of memory areas, at most [`MAX_AREAS`].
    pub nb_vma: i32,
    /// Number of copy-on-write faults in all areas, also in those beyond the arrays.
    pub cow_page_faults: i64,
    /// Number of copy-on-write faults of each area.
    pub vma_fault: [i64; MAX_AREAS],
    /// Start address of each area.
    pub vma_list_start: [u64; MAX_AREAS],
    /// End address of each area.
    pub vma_list_end: [u64; MAX_AREAS],
}

/// Bytes of the structure.
pub const SIZE: usize = size_of::<PfStat>();

const _: () = assert!(SIZE == 3088);

const TOTAL: usize = core::mem::offset_of!(PfStat, cow_page_faults);
const FAULTS: usize = core::mem::offset_of!(PfStat, vma_fault);
const STARTS: usize = core::mem::offset_of!(PfStat, vma_list_start);
const ENDS: usize = core::mem::offset_of!(PfStat, vma_list_end);

/// Writes a structure as its bytes, which are zeros at first.
pub struct Encoder<'a>(pub &'a mut [u8; SIZE]);

impl Encoder<'_> {
    /// Writes the two numbers.
    pub fn set_totals(&mut self, areas: i32, faults: i64) {
        self.put(0, areas.to_ne_bytes());
        self.put(TOTAL, faults.to_ne_bytes());
    }

    /// Writes what belongs to the area with this number; beyond [`MAX_AREAS`] nothing.
    pub fn set_area(&mut self, number: usize, faults: i64, start: u64, end: u64) {
        if number < MAX_AREAS {
            let offset = number.wrapping_mul(8);
            self.put(FAULTS.wrapping_add(offset), faults.to_ne_bytes());
            self.put(STARTS.wrapping_add(offset), start.to_ne_bytes());
            self.put(ENDS.wrapping_add(offset), end.to_ne_bytes());
        }
    }

    fn put<const N: usize>(&mut self, offset: usize, bytes: [u8; N]) {
        let to = self.0.get_mut(offset..).and_then(|rest| rest.get_mut(..N));
        if let Some(to) = to {
            to.copy_from_slice(&bytes);
        }
    }
}

impl PfStat {
    /// Reads a structure from its bytes.
    pub fn decode(bytes: &[u8; SIZE]) -> Self {
        let word = |offset| u64::from_ne_bytes(get(bytes, offset));
        let array = |from: usize| {
            core::array::from_fn(|number| word(from.wrapping_add(number.wrapping_mul(8))))
        };
        Self {
            nb_vma: i32::from_ne_bytes(get(bytes, 0)),
            cow_page_faults: word(TOTAL) as i64,
            vma_fault: array(FAULTS).map(|faults| faults as i64),
            vma_list_start: array(STARTS),
            vma_list_end: array(ENDS),
        }
    }
}

fn get<const N: usize>(bytes: &[u8; SIZE], offset: usize) -> [u8; N] {
    let from = bytes.get(offset..).and_then(|rest| rest.first_chunk());
    from.copied().unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_decoded() {
        let mut bytes = [0; SIZE];
        let mut encoder = Encoder(&mut bytes);
        encoder.set_totals(2, 7);
        encoder.set_area(0, 3, 0x1000, 0x2000);
        encoder.set_area(127, 4, 0x3000, 0x5000);
        encoder.set_area(128, 9, 9, 9);
        let decoded = PfStat::decode(&bytes);
        assert_eq!((decoded.nb_vma, decoded.cow_page_faults), (2, 7));
        assert_eq!((decoded.vma_fault[0], decoded.vma_fault[127]), (3, 4));
        assert_eq!(decoded.vma_list_start[127], 0x3000);
        assert_eq!(decoded.vma_list_end[0], 0x2000);
        assert_eq!(decoded.vma_fault[1..127], [0; 126]);
    }
}
