"""Gaps between acknowledgements are those that a fault has a part in."""
import unittest

from availability import gaps, longest
from history import History

HISTORY = """
s t-0 a 0
a t-0 a 0 0 1.0
a t-0 a 1 1 2.0
a t-0 a 2 2 9.0
a t-1 a 0 0 4.0
a t-1 a 1 1 5.0
a t-1 a 2 2 9.5
n kill begin 3.0 1,2
n kill end 6.0
n kill healed 8.0
""".strip() + "\n"


class Gaps(unittest.TestCase):
    def test_a_gap_counts_from_the_fault_on(self):
        self.assertEqual(6.0, longest([1.0, 2.0, 9.0], 3.0, 9.5))

    def test_a_gap_that_ended_before_the_fault_does_not_count(self):
        self.assertEqual(0.5, longest([1.0, 5.0, 5.5, 6.0], 5.2, 6.0))

    def test_a_gap_counts_up_to_the_next_fault(self):
        self.assertEqual(1.5, longest([1.0, 2.0, 20.0], 1.5, 3.5))

    def test_a_gap_that_begins_after_the_next_fault_does_not_count(self):
        self.assertEqual(1.0, longest([1.0, 2.0, 3.0, 20.0], 1.0, 3.0))

    def test_a_partition_that_is_never_acknowledged_again_has_a_gap_to_the_end(self):
        self.assertEqual(7.0, longest([1.0, 2.0], 3.0, 10.0))

    def test_a_fault_has_the_longest_gap_anywhere_and_in_a_partition(self):
        (row,) = gaps(History().read(HISTORY.splitlines(keepends=True)))
        self.assertEqual(("kill", "1,2", 3.0, 2.0), (row["fault"], row["targets"], row["lasted_s"], row["in_sync_after_s"]))
        self.assertEqual((4.0, 6.0, "t-0"), (row["longest_gap_s"], row["longest_gap_of_a_partition_s"], row["partition"]))


if __name__ == "__main__":
    unittest.main()
