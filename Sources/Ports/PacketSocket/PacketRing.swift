import CLinux

/// A packet socket with its memory-mapped receive ring (packet(7), TPACKET_V2).
///
/// Version 2, because every frame becomes visible at once; version 3 shows whole blocks, when one is full or its time
/// is up, so a lone frame may wait for a multiple of the round trip of a ping. Slots fit frames of the device's MTU. Segmentation
/// super-frames of up to 64 KiB are longer than a slot; PACKET_COPY_THRESH makes the kernel queue those on the socket,
/// in order, from where they are read into the packet buffer with one recvmsg(2) each.
///
/// Immutable after `init`; the worker reads and returns slots, the control thread may ask for statistics.
final class PacketRing: @unchecked Sendable {
    let descriptor: Int32
    let base: UnsafeMutableRawPointer
    let frameSize: Int
    let frameCount: Int
    private let byteCount: Int

    /// Bytes of a slot before the frame: ring header, address, virtio header, restored alignment.
    private static let overhead = 128

    /// - Parameter fanout: 0 for a queue of its own; `joinFanout` gives the number for the others of a group.
    init(
        device: NetworkDevice, index: Int32, mtu: Int, frames: Int, queues: Int, fanout: inout Int32
    ) throws(PortError) {
        let name = device.name
        let port = device.port
        descriptor = socket(AF_PACKET, Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { throw PortError.system("socket(AF_PACKET)", on: name, port: port) }
        // A slot is a power of two, so that slots fill blocks without a gap. Jumbo frames get fewer, larger slots.
        var size = 2048
        while size < mtu + 18 + Self.overhead, size < 16384 { size *= 2 }
        frameSize = size
        let perBlock = 65536 / size
        let blocks = max(1, (frames * 2048 / size + perBlock - 1) / perBlock)
        frameCount = blocks * perBlock
        byteCount = blocks * 65536
        let size32 = UInt32(size)
        let count32 = UInt32(frameCount)
        let blocks32 = UInt32(blocks)
        do throws(PortError) {
            try Self.prepare(descriptor, name, port)
            // A group takes only sockets that are bound. Making the ring throws away what came until then, so no frame is
            // seen by two queues.
            if queues > 1 {
                try Self.bind(descriptor, index, name, port)
                try Self.joinFanout(descriptor, name, port, &fanout)
            }
            var request = tpacket_req(
                tp_block_size: 65536, tp_block_nr: blocks32, tp_frame_size: size32, tp_frame_nr: count32)
            guard
                setsockopt(descriptor, SOL_PACKET, PACKET_RX_RING, &request, UInt32(MemoryLayout<tpacket_req>.size))
                    == 0
            else { throw PortError.system("setsockopt(PACKET_RX_RING)", on: name, port: port) }
            let memory = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, descriptor, 0)
            guard let memory, memory != UnsafeMutableRawPointer(bitPattern: -1) else {
                throw PortError.system("mmap of the receive ring", on: name, port: port)
            }
            do throws(PortError) {
                // A lone queue is bound last: while the ring of a bound socket is made, the kernel (6.18 for one) does not
                // notice that the device is set up, and the socket stays deaf.
                if queues == 1 { try Self.bind(descriptor, index, name, port) }
                guard weft_packet_promiscuous(descriptor, index) == 0 else {
                    throw PortError.system("setsockopt(PACKET_MR_PROMISC)", on: name, port: port)
                }
            } catch {
                munmap(memory, byteCount)
                throw error
            }
            // Last: from here on `deinit` gives everything back.
            base = memory
        } catch {
            close(descriptor)
            throw error
        }
    }

    deinit {
        munmap(base, byteCount)
        close(descriptor)
    }

    private static func bind(_ socket: Int32, _ index: Int32, _ name: String, _ port: String) throws(PortError) {
        guard weft_bind_packet(socket, index, UInt16(ETH_P_ALL)) == 0 else {
            throw PortError.system("bind", on: name, port: port)
        }
    }

    private static func prepare(_ socket: Int32, _ name: String, _ port: String) throws(PortError) {
        let options: [(String, Int32, Int32)] = [
            ("PACKET_VERSION", PACKET_VERSION, Int32(TPACKET_V2.rawValue)),
            ("PACKET_VNET_HDR", PACKET_VNET_HDR, 1),
            ("PACKET_IGNORE_OUTGOING", PACKET_IGNORE_OUTGOING, 1),
            ("PACKET_COPY_THRESH", PACKET_COPY_THRESH, 65536),
        ]
        for (text, option, value) in options {
            guard weft_set_option(socket, SOL_PACKET, option, value) == 0 else {
                throw PortError.system("setsockopt(\(text))", on: name, port: port)
            }
        }
        // Room for several hundred super-frames. Without CAP_NET_ADMIN the system's limit has to do.
        if weft_set_option(socket, SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20) != 0 {
            _ = weft_set_option(socket, SOL_SOCKET, SO_RCVBUF, 32 << 20)
        }
    }

    /// PACKET_FANOUT by flow hash, which for the kernel is symmetric. The first queue lets the kernel choose a number
    /// for the group, the others join it.
    private static func joinFanout(
        _ socket: Int32, _ name: String, _ port: String, _ fanout: inout Int32
    ) throws(PortError) {
        let mode = fanout == 0 ? PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_UNIQUEID : PACKET_FANOUT_HASH
        guard weft_set_option(socket, SOL_PACKET, PACKET_FANOUT, fanout | mode << 16) == 0 else {
            throw PortError.system("setsockopt(PACKET_FANOUT)", on: name, port: port)
        }
        guard fanout == 0 else { return }
        var value: Int32 = 0
        var length = UInt32(MemoryLayout<Int32>.size)
        guard getsockopt(socket, SOL_PACKET, PACKET_FANOUT, &value, &length) == 0 else {
            throw PortError.system("getsockopt(PACKET_FANOUT)", on: name, port: port)
        }
        fanout = value & 0xffff
    }
}
