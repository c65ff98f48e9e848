import Base
import Memory
import Wire

// What a network device would do for a frame that its sender left unfinished, in software: for ports that cannot.
public enum Offload {
    /// Turns `needsChecksum` into a checksum. False, and the frame unchanged, if the offload does not fit the frame
    /// (`checksumOffloadImpossible`).
    ///
    /// The checksum field holds the pseudo header's sum already, so the sum over everything from `checksumStart` on,
    /// that field included, is what has to be complemented. Padding behind the packet does not count.
    public static func completeChecksum(_ packet: Packet) -> Bool {
        guard packet.pointee.offload.needsChecksum else { return true }
        let start = Int(packet.pointee.offload.checksumStart)
        let field = start &+ Int(packet.pointee.offload.checksumOffset)
        let end = packet.length &- Int(packet.pointee.padL2)
        guard start >= 14, field &+ 2 <= end, start < end else { return false }
        let frame = packet.pointee.data
        if isSCTP(packet, start) {
            guard start &+ 12 <= end else { return false }
            frame.store32(0, start &+ 8)
            let crc = CRC32C.checksum(frame + start, count: end &- start)
            frame.storeBytes(of: crc.littleEndian, toByteOffset: start &+ 8, as: UInt32.self)
        } else {
            let checksum = InternetChecksum.checksum(frame + start, count: end &- start)
            // A sum that comes out as zero is written as 0xffff: the same number, and UDP must not say "none".
            frame.store16(InternetChecksum.udp(checksum), field)
        }
        packet.pointee.offload.needsChecksum = false
        packet.pointee.offload.checksumValid = true
        return true
    }

    /// SCTP has its checksum at offset 8, where neither TCP (16) nor UDP (6) has one.
    private static func isSCTP(_ packet: Packet, _ start: Int) -> Bool {
        packet.pointee.offload.checksumOffset == 8 && start >= 34
    }

    /// Cuts a frame to `limit` bytes. A checksum still to be computed is computed over the whole frame before, and
    /// what is left is one frame, not several.
    static func truncate(_ packet: Packet, to limit: UInt32) {
        guard packet.pointee.length > limit else { return }
        if packet.pointee.offload.needsChecksum {
            if packet.pointee.offload.segmentationType == 0 { _ = completeChecksum(packet) }
            packet.pointee.offload.needsChecksum = false
        }
        packet.pointee.offload.segmentationType = 0
        let cut = packet.pointee.length &- limit
        packet.pointee.padL2 = UInt16(truncatingIfNeeded: Swift.max(0, Int(packet.pointee.padL2) &- Int(cut)))
        packet.pointee.length = limit
    }
}
