import CLinux

/// One queue of a TAP device: a descriptor of /dev/net/tun. Each read(2) gives, and each write(2) takes, one frame
/// behind its virtio header. Closed when the last user lets go.
final class TapQueue: Sendable {
    let descriptor: Int32

    private init(descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// False once the device was deleted.
    var isAttached: Bool { weft_tap_attached(descriptor) }

    private static var features: UInt32 {
        UInt32(TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)
    }
    /// TUN_F_USO4 and TUN_F_USO6: UDP segmentation, known to kernels since 6.2, not to older headers.
    private static var udpSegmentation: UInt32 { 0x60 }

    /// Opens `count` queues of the device `name`, which is made if missing. A device that is there and was made with
    /// one queue only stays so.
    static func open(_ name: String, count: Int, port: String) throws(PortError) -> [TapQueue] {
        var queues: [TapQueue] = []
        for _ in 0..<count { queues.append(try open(name, multiple: count > 1, port: port)) }
        return queues
    }

    private static func open(_ name: String, multiple: Bool, port: String) throws(PortError) -> TapQueue {
        let path = "/dev/net/tun"
        let descriptor = weft_open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC, 0)
        guard descriptor >= 0 else { throw PortError.system("open(\(path))", on: name, port: port) }
        let queue = TapQueue(descriptor: descriptor)
        let base = Int32(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
        let several = base | Int32(IFF_MULTI_QUEUE)
        if weft_tap_attach(descriptor, name, multiple ? several : base) != 0 {
            // EINVAL: the device is there and was made the other way.
            guard weft_errno() == EINVAL, !multiple, weft_tap_attach(descriptor, name, several) == 0 else {
                throw PortError.system("ioctl(TUNSETIFF)", on: name, port: port)
            }
        }
        guard weft_tap_header_size(descriptor, Int32(VirtioHeader.size)) == 0 else {
            throw PortError.system("ioctl(TUNSETVNETHDRSZ)", on: name, port: port)
        }
        if weft_tap_offload(descriptor, features | udpSegmentation) != 0 {
            guard weft_tap_offload(descriptor, features) == 0 else {
                throw PortError.system("ioctl(TUNSETOFFLOAD)", on: name, port: port)
            }
        }
        return queue
    }
}
