// The headers that Weft knows, one file each: where every field lies, how to take a header apart and how to build one.
// No state, no input or output, no knowledge of flows.
//
// A header comes in two forms.
//
// - A view (`UDPView`) wraps bytes that somebody else owns. Its initialiser checks once that the header is all there,
//   lengths that the header itself states included, and returns nil otherwise; afterwards no accessor can trap or
//   read outside, whatever the bytes say. A view must not outlive its bytes.
// - A value (`UDPHeader`) holds all fields. `parse` makes one from bytes, `byteCount` says how long it is, `emit` writes
//   it. What is unknown or reserved is kept, so parsing and emitting gives back the same bytes.
//
// Checksums are the caller's policy: `parse` keeps the field as it is, `emit` writes it as it is, and `hasValidChecksum`
// or `InternetChecksum` check and compute it. Offsets are written down once, in the view.
//
// The packet path (key extraction, rewriting) does not go through values. It reads fields at the same offsets with
// single loads, and is tested against plain readers.

/// A header as a value.
public protocol WireHeader: Equatable, Sendable {
    /// The header at the start of `bytes`; nil if it is cut short or contradicts itself.
    static func parse(_ bytes: UnsafeRawBufferPointer) -> Self?
    /// Bytes that `emit` writes.
    var byteCount: Int { get }
    /// Writes the header to the start of `bytes`. False, and nothing written, if there is not enough room.
    func emit(into bytes: UnsafeMutableRawBufferPointer) -> Bool
}

extension UnsafeMutableRawBufferPointer {
    /// The start, if `count` bytes fit.
    @inlinable func start(for count: Int) -> UnsafeMutableRawPointer? {
        guard self.count >= count else { return nil }
        return baseAddress
    }
}

extension UnsafeRawBufferPointer {
    /// The start, if there are `count` bytes.
    @inlinable func start(for count: Int) -> UnsafeRawPointer? {
        guard self.count >= count else { return nil }
        return baseAddress
    }
}

extension UnsafeMutableRawPointer {
    /// Copies an array of bytes to `offset`.
    func store(_ bytes: [UInt8], _ offset: Int) {
        bytes.withUnsafeBytes { source in
            if let start = source.baseAddress { (self + offset).copyMemory(from: start, byteCount: source.count) }
        }
    }
    func store128(_ value: UInt128, _ offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt128.self)
    }
}

extension UnsafeRawPointer {
    @inlinable func be128(_ offset: Int) -> UInt128 {
        UInt128(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt128.self))
    }
    func array(_ range: Range<Int>) -> [UInt8] {
        [UInt8](UnsafeRawBufferPointer(start: self + range.lowerBound, count: range.count))
    }
}
