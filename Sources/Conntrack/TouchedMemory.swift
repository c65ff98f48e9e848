import CLinux

/// Makes the kernel give memory that is used from its start on, before a worker would have to wait for it: a huge page takes
/// hundreds of microseconds to clear.
///
/// Upkeep's thread looks from time to time how much is used, and goes ahead of that by an eighth, or by twice what was taken
/// since it last looked, whichever is more.
package struct TouchedMemory {
    private let start: UnsafeMutableRawPointer
    private let end: Int
    private var touched = 0
    private var lastUsed = 0

    private static var page: Int { 4096 }
    private static var least: Int { 2 << 20 }
    /// Bytes that one step touches.
    private static var stepSize: Int { 2 << 20 }

    /// A word of each page that others write with atomic operations only: the control word of a record, an entry of the index.
    private static var word: Int { 128 }

    /// - Parameter byteCount: where the memory ends.
    package init(_ start: UnsafeMutableRawPointer, byteCount: Int) {
        self.start = start
        end = byteCount
    }

    /// One step, with `used` bytes in use. True: there is more to do now; call again.
    package mutating func advance(used: Int) -> Bool {
        let wanted = min(used + max(Self.least, used / 8, 2 * (used - lastUsed)), end)
        let stop = min(wanted, max(touched, used) + Self.stepSize)
        touched = max(touched, used / Self.page * Self.page)
        while touched + Self.page <= stop {
            // Asks to write, and changes nothing. (To add 0 would become a load, for which the kernel gives a page of zeros
            // that all share.)
            _ = weft_atomic_compare_exchange((start + touched + Self.word).assumingMemoryBound(to: UInt64.self), 0, 0)
            touched += Self.page
        }
        guard touched + Self.page > wanted else { return true }
        lastUsed = used
        return false
    }
}
