import Base
import CLinux
import Synchronization

/// A Linux network device by name, asked through ioctl(2). Keeps one socket, and with it the network namespace in which
/// the port was opened, so that any thread can ask later.
final class NetworkDevice: Sendable {
    let name: String
    let port: String
    private let descriptor: Int32
    /// Interface index as the transmitters use it: 0 while the device is gone.
    let index = Atomic<Int32>(0)

    /// What the kernel says about the device.
    struct State: Equatable {
        var index: Int32
        var up: Bool
        var carrier: Bool
        var mtu: Int
        var address: UInt64
        var speed: UInt64
    }

    init(name: String, port: String) throws(PortError) {
        self.name = name
        self.port = port
        descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw PortError.system("socket(AF_INET)", on: name, port: port) }
    }

    deinit { close(descriptor) }

    /// Nil if there is no such device.
    func currentIndex() -> Int32? {
        var index: Int32 = 0
        return weft_device_index(descriptor, name, &index) == 0 ? index : nil
    }

    /// Nil if there is no such device. Not one snapshot: the kernel is asked for each value.
    func state() -> State? {
        guard let index = currentIndex() else { return nil }
        var flags: UInt32 = 0
        var mtu: Int32 = 0
        var bytes: (UInt64) = 0
        guard weft_device_flags(descriptor, name, &flags) == 0, weft_device_mtu(descriptor, name, &mtu) == 0 else {
            return nil
        }
        let known = withUnsafeMutableBytes(of: &bytes) { buffer in
            weft_device_address(descriptor, name, buffer.baseAddress?.assumingMemoryBound(to: UInt8.self)) == 0
        }
        let carrier = weft_device_carrier(descriptor, name)
        return State(
            index: index, up: flags & UInt32(IFF_UP) != 0,
            carrier: carrier < 0 ? flags & UInt32(IFF_RUNNING) != 0 : carrier == 1,
            mtu: Int(mtu), address: known ? UInt64(bigEndian: bytes) >> 16 : 0,
            speed: UInt64(weft_device_speed(descriptor, name)) * 1_000_000)
    }

    func setUp(_ up: Bool) throws(PortError) {
        guard weft_device_set_up(descriptor, name, up) == 0 else {
            throw PortError.system("ioctl(SIOCSIFFLAGS)", on: name, port: port)
        }
    }

    func setMTU(_ mtu: Int) throws(PortError) {
        guard weft_device_set_mtu(descriptor, name, Int32(mtu)) == 0 else {
            throw PortError.system("ioctl(SIOCSIFMTU, \(mtu))", on: name, port: port)
        }
    }

    /// 48 bits.
    func setAddress(_ address: UInt64) throws(PortError) {
        let bytes = (0..<6).map { UInt8(truncatingIfNeeded: address >> (40 - 8 * $0)) }
        guard weft_device_set_address(descriptor, name, bytes) == 0 else {
            throw PortError.system("ioctl(SIOCSIFHWADDR)", on: name, port: port)
        }
    }
}

extension PortStatus {
    /// Takes over what the kernel says; the device is there.
    mutating func follow(_ state: NetworkDevice.State) {
        present = true
        adminUp = state.up
        carrier = state.carrier
        mtu = state.mtu
        hardwareAddress = state.address
        speed = state.speed
    }
}
