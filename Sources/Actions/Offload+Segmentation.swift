import Base
import Memory
import Wire

// Segmentation offload in software: a frame of up to 64 KiB becomes the frames of segment size that its sender would
// have sent without offload.
extension Offload {
    public enum Segments: Equatable, Sendable {
        /// So many frames were made. The large frame still is the caller's.
        case made(Int)
        /// Nothing was made, and why.
        case refused(DropReason)
    }

    /// Splits a TCP frame, or a UDP frame of segmentation type 5, and completes all checksums.
    ///
    /// Each segment repeats the headers. The IPv4 identification counts up; of the TCP flags, FIN and PSH stay for
    /// the last segment and CWR for the first (RFC 3168, section 6.1.2).
    ///
    /// - Parameters:
    ///   - frames: where the segments go, `capacity` places; more segments than that are refused as `frameTooLong`.
    public static func segment(
        _ packet: Packet, pool: inout PacketPool, into frames: UnsafeMutablePointer<Packet>, capacity: Int
    ) -> Segments {
        guard let plan = Plan(packet) else { return .refused(.checksumOffloadImpossible) }
        guard plan.count <= capacity else { return .refused(.frameTooLong) }
        for i in 0..<plan.count {
            guard let frame = plan.make(i, packet, &pool) else {
                for made in 0..<i { pool.free(frames[made]) }
                return .refused(.noBuffer)
            }
            frames[i] = frame
        }
        return .made(plan.count)
    }

    /// How a frame falls into segments.
    private struct Plan {
        let l3: Int
        let l4: Int
        let isIPv6: Bool
        let isTCP: Bool
        /// Bytes of all headers, of payload in the whole frame, of payload in a segment.
        let headers: Int
        let payload: Int
        let size: Int

        var count: Int { Swift.max(1, (payload &+ size &- 1) / size) }

        /// Nil if the offload does not fit the frame.
        init?(_ packet: Packet) {
            let offload = packet.pointee.offload
            let kind = offload.segmentationType & 0x7f
            guard kind == 1 || kind == 4 || kind == 5, offload.segmentSize > 0 else { return nil }
            isTCP = kind != 5
            let end = packet.length &- Int(packet.pointee.padL2)
            l3 = Int(packet.pointee.offsetL3)
            l4 = offload.needsChecksum ? Int(offload.checksumStart) : Int(packet.pointee.offsetL4)
            let frame = UnsafeRawPointer(packet.pointee.data)
            guard l3 >= 14, l3 &+ 20 <= l4, l4 &+ (isTCP ? 20 : 8) <= end else { return nil }
            switch frame.byte(l3) &>> 4 {
            case 4: isIPv6 = false
            case 6: isIPv6 = true
            default: return nil
            }
            guard !isIPv6 || l3 &+ 40 <= l4, kind != 1 || !isIPv6, kind != 4 || isIPv6 else { return nil }
            headers = l4 &+ (isTCP ? Int(frame.byte(l4 &+ 12) &>> 4) &* 4 : 8)
            guard headers >= l4 &+ (isTCP ? 20 : 8), headers <= end else { return nil }
            payload = end &- headers
            size = Int(offload.segmentSize)
            guard size &+ headers &- l3 <= 0xffff else { return nil }
        }

        /// Segment `index` as a frame of its own.
        func make(_ index: Int, _ packet: Packet, _ pool: inout PacketPool) -> Packet? {
            let from = index &* size
            let length = Swift.min(size, payload &- from)
            guard let segment = pool.take(headers &+ length) else { return nil }
            let frame = segment.pointee.data
            frame.copyMemory(from: packet.pointee.data, byteCount: headers)
            (frame + headers).copyMemory(from: packet.pointee.data + (headers &+ from), byteCount: length)
            segment.pointee.offsetMPLS = packet.pointee.offsetMPLS
            segment.pointee.offsetL3 = packet.pointee.offsetL3
            segment.pointee.offsetL4 = UInt16(truncatingIfNeeded: l4)
            segment.pointee.padL2 = 0
            segment.pointee.inPort = packet.pointee.inPort
            segment.pointee.queue = packet.pointee.queue
            segment.pointee.mark = packet.pointee.mark
            segment.pointee.hash = packet.pointee.hash
            segment.pointee.timestamp = packet.pointee.timestamp
            segment.pointee.offload.checksumValid = true
            finishNetwork(frame, index, headers &+ length &- l3)
            finishTransport(frame, index, from, headers &+ length &- l4)
            return segment
        }

        private func finishNetwork(_ frame: UnsafeMutableRawPointer, _ index: Int, _ length: Int) {
            let header = frame + l3
            if isIPv6 {
                header.store16(UInt16(truncatingIfNeeded: length &- 40), 4)
                return
            }
            header.store16(UInt16(truncatingIfNeeded: length), 2)
            let identification = UnsafeRawPointer(header).be16(4)
            header.store16(identification &+ UInt16(truncatingIfNeeded: index), 4)
            header.store16(0, 10)
            let size = Swift.min(Int(UnsafeRawPointer(header).byte(0) & 15) &* 4, l4 &- l3)
            header.store16(InternetChecksum.checksum(header, count: size), 10)
        }

        private func finishTransport(
            _ frame: UnsafeMutableRawPointer, _ index: Int, _ from: Int, _ length: Int
        ) {
            let header = frame + l4
            let field: Int
            if isTCP {
                field = 16
                let view = UnsafeRawPointer(header)
                header.store32(view.be32(4) &+ UInt32(truncatingIfNeeded: from), 4)
                var flags = view.byte(13)
                if index < count &- 1 { flags &= ~0x09 }
                if index > 0 { flags &= ~0x80 }
                header.store8(flags, 13)
            } else {
                field = 6
                header.store16(UInt16(truncatingIfNeeded: length), 4)
            }
            header.store16(0, field)
            let addresses =
                isIPv6
                ? InternetChecksum.sum(frame + l3 + 8, count: 32) : InternetChecksum.sum(frame + l3 + 12, count: 8)
            let pseudoHeader = addresses &+ UInt64(length) &+ (isTCP ? 6 : 17)
            let sum = InternetChecksum.sum(header, count: length, initial: pseudoHeader)
            let checksum = InternetChecksum.finish(sum)
            header.store16(isTCP ? checksum : InternetChecksum.udp(checksum), field)
        }
    }
}
