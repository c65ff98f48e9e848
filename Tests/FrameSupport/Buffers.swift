import Base
import Memory

/// Runs `body` with a pool of its own.
public func withPool<R>(small: Int = 64, large: Int = 4, _ body: (inout PacketPool) throws -> R) rethrows -> R {
    var pool = PacketPool(small: small, large: large)
    return try body(&pool)
}

/// A buffer that holds `bytes`, with 0xA5 all around them, so that a write outside of the frame shows.
public func packet(_ bytes: [UInt8], port: UInt32 = 1, from pool: inout PacketPool) -> Packet {
    guard let packet = pool.take(bytes.count) else { fatalError("the pool of this test is empty") }
    packet.pointee.inPort = PortIndex(port)
    packet.bufferStart.initializeMemory(as: UInt8.self, repeating: 0xa5, count: packet.headroom)
    packet.pointee.data.initializeMemory(as: UInt8.self, repeating: 0xa5, count: Int(packet.pointee.room))
    bytes.withUnsafeBytes { source in
        if let start = source.baseAddress { packet.pointee.data.copyMemory(from: start, byteCount: source.count) }
    }
    return packet
}

/// The frame's bytes.
public func bytes(_ packet: Packet) -> [UInt8] {
    Array(UnsafeRawBufferPointer(start: packet.pointee.data, count: Int(packet.pointee.length)))
}

/// Whether everything outside of the frame still is as `packet` filled it: the first `originalHeadroom` bytes of the
/// buffer (headers that were pushed and popped again leave traces behind them) and all behind the frame.
public func surroundingsAreUntouched(_ packet: Packet, originalHeadroom: Int = PacketPool.headroom) -> Bool {
    let before = UnsafeRawBufferPointer(start: packet.bufferStart, count: min(packet.headroom, originalHeadroom))
    let end = packet.pointee.data + Int(packet.pointee.length)
    let after = UnsafeRawBufferPointer(start: end, count: Int(packet.pointee.room) - Int(packet.pointee.length))
    return before.allSatisfy { $0 == 0xa5 } && after.allSatisfy { $0 == 0xa5 }
}
