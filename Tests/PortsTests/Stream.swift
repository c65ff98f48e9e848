import CLinux
import Glibc
import Memory
import Ports
import Testing

/// A TCP connection between two namespaces, and the switch between them, all turned by one thread.
final class Stream {
    private let client: Int32
    private let listener: Int32
    private var server: Int32 = -1
    private let total: Int
    private var written = 0
    private(set) var read = 0
    private(set) var intact = true
    private var chunk = [UInt8](repeating: 0, count: 65536)
    /// Longest frame that was forwarded, and whether one came with its checksum left to the device.
    private(set) var longestFrame = 0
    private(set) var sawPartialChecksum = false
    private var bench = Bench(small: 512, large: 128)

    /// Starts to connect from `from` to `address`, port 5001, in `to`.
    init(from: Namespace, to: Namespace, address: UInt32, bytes: Int) throws {
        func socket(_ space: Namespace) throws -> Int32 {
            try space.run { Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0) }
        }
        total = bytes
        listener = try socket(to)
        client = try socket(from)
        var target = sockaddr_in()
        target.sin_family = UInt16(AF_INET)
        target.sin_port = UInt16(5001).bigEndian
        target.sin_addr.s_addr = address.bigEndian
        let size = UInt32(MemoryLayout<sockaddr_in>.size)
        let (listener, client) = (listener, client)
        let fine = withUnsafePointer(to: &target) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(listener, address, size) == 0 && listen(listener, 1) == 0
                    && (connect(client, address, size) == 0 || errno == EINPROGRESS)
            }
        }
        try #require(fine)
    }

    deinit {
        close(client)
        close(listener)
        if server >= 0 { close(server) }
    }

    static func pattern(_ position: Int) -> UInt8 { UInt8(truncatingIfNeeded: position &* 31 &+ position >> 8) }

    /// Forwards and transfers until all bytes arrived; false if that takes longer than any machine needs.
    func run(_ a: Port, _ b: Port, in space: Namespace) throws -> Bool {
        let toA = try space.transmitter(a)
        let toB = try space.transmitter(b)
        let end = weft_clock(CLOCK_MONOTONIC) + 120_000_000_000
        while read < total, intact, weft_clock(CLOCK_MONOTONIC) < end {
            forward(a.receivers[0], toB)
            forward(b.receivers[0], toA)
            send()
            receive()
        }
        return read == total && intact
    }

    private func forward(_ receiver: PortReceiver, _ transmitter: PortTransmitter) {
        let count = receiver.receive(bench.batch, limit: 32, pool: &bench.pool)
        guard count > 0 else { return }
        for index in 0..<count {
            longestFrame = max(longestFrame, Int(bench.batch[index].pointee.length))
            if bench.batch[index].pointee.offload.needsChecksum { sawPartialChecksum = true }
        }
        transmitter.transmit(bench.batch, count)
        transmitter.flush()
        bench.free(count)
    }

    private func send() {
        guard written < total else { return }
        let count = min(chunk.count, total - written)
        for index in 0..<count { chunk[index] = Self.pattern(written + index) }
        let sent = Glibc.send(client, chunk, count, Int32(MSG_NOSIGNAL))
        if sent > 0 { written += sent }
    }

    private func receive() {
        if server < 0 {
            server = accept(listener, nil, nil)
            if server >= 0 { _ = fcntl(server, F_SETFL, O_NONBLOCK) }
        }
        guard server >= 0 else { return }
        let count = recv(server, &chunk, chunk.count, 0)
        guard count > 0 else { return }
        for index in 0..<count where chunk[index] != Self.pattern(read + index) { intact = false }
        read += count
    }
}
