import CLinux
import Conntrack
import Flow

/// The memory of sessions, their paths and shapes, as a trivial value: loops take it into a local once a burst.
public struct SessionTable {
    @usableFromInline let records: UnsafeMutablePointer<UInt64>
    /// For IPv6 and for sessions with many guards: 16 words each.
    @usableFromInline let further: UnsafeMutablePointer<UInt64>
    let pathBase: UnsafeMutableRawPointer
    @usableFromInline let shapeBase: UnsafeMutableRawPointer
    @usableFromInline let counts: UnsafeMutablePointer<PathCount>

    @inlinable static var recordWords: Int { 8 }
    @inlinable static var furtherWords: Int { 16 }
    static var pathStride: Int { 320 }
    @inlinable static var shapeStride: Int { 192 }

    init(
        records: UnsafeMutableRawPointer, further: UnsafeMutableRawPointer, paths: UnsafeMutableRawPointer,
        shapes: UnsafeMutableRawPointer, counts: UnsafeMutableRawPointer
    ) {
        self.records = records.assumingMemoryBound(to: UInt64.self)
        self.further = further.assumingMemoryBound(to: UInt64.self)
        pathBase = paths
        shapeBase = shapes
        self.counts = counts.assumingMemoryBound(to: PathCount.self)
    }

    @inlinable @inline(__always) func record(_ session: UInt32) -> UnsafeMutablePointer<UInt64> {
        records + Int(session) &* Self.recordWords
    }
    @inlinable @inline(__always) func furtherRecord(_ session: UInt32) -> UnsafeMutablePointer<UInt64> {
        further + Int(session) &* Self.furtherWords
    }
    /// 0 for a record that is not in use.
    @inlinable @inline(__always) func pathNumber(_ session: UInt32) -> UInt32 {
        UInt32(truncatingIfNeeded: record(session)[2] &>> 48)
    }
    @inlinable @inline(__always) func shapeNumber(_ session: UInt32) -> UInt32 {
        UInt32(truncatingIfNeeded: record(session)[2] &>> 32 & 0xffff)
    }
    func path(number: UInt32) -> UnsafeMutablePointer<SessionPath> {
        (pathBase + Int(number) &* Self.pathStride).assumingMemoryBound(to: SessionPath.self)
    }
    func path(_ session: UInt32) -> UnsafeMutablePointer<SessionPath> { path(number: pathNumber(session)) }
    func shape(number: UInt32) -> UnsafeMutablePointer<SessionShape> {
        (shapeBase + Int(number) &* Self.shapeStride).assumingMemoryBound(to: SessionShape.self)
    }
    @inlinable @inline(__always) func count(_ session: UInt32) -> UnsafeMutablePointer<PathCount> {
        counts + Int(pathNumber(session))
    }

    /// The shape of its path, for packets.
    @inlinable @inline(__always) public func way(_ session: UInt32) -> SessionWay {
        SessionWay(shapeBase + Int(shapeNumber(session)) &* Self.shapeStride)
    }

    /// - Parameter count: passages of its path.
    @inlinable @inline(__always)
    public func guards(_ session: UInt32, _ count: Int) -> UnsafeMutablePointer<UInt64> {
        count <= 4 ? record(session) + 4 : furtherRecord(session) + 4
    }

    /// What packets are translated to, behind the guards of a session with `mostGuardsBesideTranslation` at the most.
    @inlinable @inline(__always)
    public func translation(_ session: UInt32) -> UnsafeMutablePointer<IPv4Translation> {
        UnsafeMutableRawPointer(record(session) + 6).assumingMemoryBound(to: IPv4Translation.self)
    }
    static var mostGuardsBesideTranslation: Int { 2 }

    @inline(__always)
    static func hash(_ key: UnsafePointer<UInt64>) -> UInt64 {
        var a = weft_crc32(0x51ed, key[3])
        var b = weft_crc32(0x2545, key[4])
        // Ingress port and EtherType, which every path compares.
        a = weft_crc32(a, key[0] &>> 16)
        if UInt16(truncatingIfNeeded: key[0] &>> 16) == EtherType.ipv6 { addIPv6(key, &a, &b) }
        let h = (a | b &<< 32) &* 0x9e37_79b9_7f4a_7c15
        return h ^ h &>> 29
    }

    private static func addIPv6(_ key: UnsafePointer<UInt64>, _ a: inout UInt64, _ b: inout UInt64) {
        a = weft_crc32(weft_crc32(a, key[6]), key[8])
        b = weft_crc32(weft_crc32(b, key[7]), key[9])
    }

    /// What a session has in place of word 3 of its key.
    @inline(__always)
    static func addresses(_ key: UnsafePointer<UInt64>) -> UInt64 {
        guard UInt16(truncatingIfNeeded: key[0] &>> 16) == EtherType.ipv6 else { return key[3] }
        return (key[6] &* 3 ^ key[8]) &+ (key[7] &* 5 ^ key[9])
    }

    @inline(__always) func matches(_ session: UInt32, _ key: UnsafePointer<UInt64>) -> Bool {
        let record = record(session)
        guard record[0] == Self.addresses(key), record[1] == key[4] else { return false }
        let way = way(session)
        guard way.matches(key) else { return false }
        return !way.isIPv6 || hasAddresses(session, key)
    }

    @inline(never) private func hasAddresses(_ session: UInt32, _ key: UnsafePointer<UInt64>) -> Bool {
        let further = furtherRecord(session)
        return further[0] == key[6] && further[1] == key[7] && further[2] == key[8] && further[3] == key[9]
    }
}
