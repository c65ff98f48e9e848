import CLinux

/// A fixed piece of zeroed memory for a large table: reserved at once, touched (and so resident) only where used, in
/// huge pages where the kernel has them to give without being asked twice.
public struct LineMemory: ~Copyable {
    public let start: UnsafeMutableRawPointer
    public let byteCount: Int

    /// Traps if the kernel refuses the address space: this happens at start only, with sizes from configuration that
    /// were checked against limits. A table that is used in few places goes without huge pages, of which each would be
    /// resident as a whole.
    public init(byteCount: Int, isSparse: Bool = false) {
        let address = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let address, address != UnsafeMutableRawPointer(bitPattern: -1) else {
            fatalError("cannot reserve \(byteCount) bytes: \(String(cString: strerror(weft_errno())))")
        }
        if isSparse {
            madvise(address, byteCount, Int32(MADV_NOHUGEPAGE))
        } else if byteCount >= 2 << 20 {
            madvise(address, byteCount, Int32(MADV_HUGEPAGE))
        }
        start = address
        self.byteCount = byteCount
    }

    deinit { munmap(start, byteCount) }
}
