import Base
import CLinux
import Memory
import Synchronization

/// Sends frames with one sendmmsg(2) a burst straight out of the packet buffers, past the queueing discipline.
final class PacketSocketTransmitter: PortTransmitter, @unchecked Sendable {
    private static let burst = 64

    private let device: NetworkDevice
    private let descriptor: Int32
    private let messages: UnsafeMutablePointer<weft_message>
    private let parts: UnsafeMutablePointer<iovec>
    /// Virtio headers of frames whose headroom is used up.
    private let headers: UnsafeMutableRawPointer
    private let address: UnsafeMutablePointer<sockaddr_ll>

    init(device: NetworkDevice, maximumFrame: Int) throws(PortError) {
        self.device = device
        // Protocol 0: this socket receives nothing.
        descriptor = socket(AF_PACKET, Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { throw PortError.system("socket(AF_PACKET)", on: device.name, port: device.port) }
        guard weft_set_option(descriptor, SOL_PACKET, PACKET_VNET_HDR, 1) == 0 else {
            let error = PortError.system("setsockopt(PACKET_VNET_HDR)", on: device.name, port: device.port)
            close(descriptor)
            throw error
        }
        // Both only make it faster.
        _ = weft_set_option(descriptor, SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        _ = weft_set_option(descriptor, SOL_SOCKET, SO_SNDBUFFORCE, 16 << 20)
        messages = .allocate(capacity: Self.burst)
        parts = .allocate(capacity: Self.burst * 2)
        headers = .allocate(byteCount: Self.burst * 16, alignment: 64)
        address = .allocate(capacity: 1)
        memset(address, 0, MemoryLayout<sockaddr_ll>.size)
        memset(messages, 0, Self.burst * MemoryLayout<weft_message>.size)
        address.pointee.sll_family = UInt16(AF_PACKET)
        for index in 0..<Self.burst {
            messages[index].header.msg_name = UnsafeMutableRawPointer(address)
            messages[index].header.msg_namelen = UInt32(MemoryLayout<sockaddr_ll>.size)
        }
        super.init(maximumFrame: maximumFrame)
    }

    deinit {
        close(descriptor)
        messages.deallocate()
        parts.deallocate()
        headers.deallocate()
        address.deallocate()
    }

    override var handlesChecksum: Bool { true }
    override var handlesSegmentation: Bool { true }

    override func transmitFrames(_ packets: UnsafePointer<Packet>, _ count: Int) {
        let index = device.index.load(ordering: .relaxed)
        guard index != 0 else {
            counters.drop(.portDown, count)
            return
        }
        address.pointee.sll_ifindex = index
        var done = 0
        while done < count {
            let part = min(count &- done, Self.burst)
            send(prepare(packets + done, part))
            done &+= part
        }
    }

    /// Fills the messages with the frames that fit the device; returns how many.
    private func prepare(_ packets: UnsafePointer<Packet>, _ count: Int) -> Int {
        let maximum = maximumFrame
        var ready = 0
        for at in 0..<count {
            let packet = packets[at]
            if Self.exceeds(packet, maximum) {
                counters.drop(.exceedsMTU)
                continue
            }
            let length = Int(packet.pointee.length)
            let part = parts + ready &* 2
            // The header goes into the headroom, whose content nobody reads, so that one part does.
            if packet.headroom >= VirtioHeader.size {
                let start = packet.pointee.data - VirtioHeader.size
                VirtioHeader.write(packet, to: start)
                part[0] = iovec(iov_base: start, iov_len: length &+ VirtioHeader.size)
                messages[ready].header.msg_iovlen = 1
            } else {
                let start = headers + ready &* 16
                VirtioHeader.write(packet, to: start)
                part[0] = iovec(iov_base: start, iov_len: VirtioHeader.size)
                part[1] = iovec(iov_base: packet.pointee.data, iov_len: length)
                messages[ready].header.msg_iovlen = 2
            }
            messages[ready].header.msg_iov = part
            messages[ready].length = UInt32(truncatingIfNeeded: length)
            ready &+= 1
        }
        return ready
    }

    /// Sends the first `count` messages. The kernel stops at one that it refuses; that one is counted, the rest is tried.
    private func send(_ count: Int) {
        var at = 0
        var sent = 0
        var bytes: UInt64 = 0
        while at < count {
            let result = Int(weft_send_messages(descriptor, messages + at, UInt32(count &- at)))
            if result > 0 {
                // The kernel put the length with header into each message that it took.
                for index in at..<(at &+ result) {
                    bytes &+= UInt64(messages[index].length) &- UInt64(VirtioHeader.size)
                }
                sent &+= result
                at &+= result
                continue
            }
            let error = weft_errno()
            if error == EINTR { continue }
            let reason = Self.reason(error)
            if reason == .portDown {
                counters.drop(reason, count &- at)
                break
            }
            counters.drop(reason)
            at &+= 1
        }
        if sent > 0 { counters.count(packets: sent, bytes: bytes) }
    }

    private static func reason(_ error: Int32) -> DropReason {
        switch error {
        case EAGAIN, ENOBUFS, ENOMEM: .transmitQueueFull
        case EMSGSIZE: .exceedsMTU
        case ENETDOWN, ENXIO, ENODEV: .portDown
        default: .transmitError
        }
    }
}
