import Control
import Foundation
import Glibc
import NIOCore
import NIOPosix
import NIOSSL
import Testing

/// Backends on the loopback address that answer each connection in a way that a test chooses.
final class HealthServer {
    private static let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let channel: any Channel
    let port: UInt16
    /// Connections, or datagrams, so far.
    let arrivals = Counter()

    /// Sends `answer` on every connection that has sent something (`""` stays silent), and closes it if told to.
    init(answer: String, closes: Bool = true, tls: NIOSSLContext? = nil, port: UInt16 = 0) throws {
        let arrivals = arrivals
        channel = try ServerBootstrap(group: Self.group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    arrivals.add()
                    if let tls {
                        try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls))
                    }
                    try channel.pipeline.syncOperations.addHandler(Answerer(answer, closes: closes))
                }
            }
            .bind(to: SocketAddress(ipAddress: "127.0.0.1", port: Int(port))).wait()
        self.port = UInt16(channel.localAddress?.port ?? 0)
    }

    /// Answers each datagram with itself, or not at all.
    init(datagrams echoes: Bool) throws {
        let arrivals = arrivals
        channel = try DatagramBootstrap(group: Self.group)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Echo(echoes, arrivals))
                }
            }
            .bind(to: SocketAddress(ipAddress: "127.0.0.1", port: 0)).wait()
        port = UInt16(channel.localAddress?.port ?? 0)
    }

    func stop() { try? channel.close().wait() }

    private final class Answerer: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        let answer: String
        let closes: Bool

        init(_ answer: String, closes: Bool) {
            self.answer = answer
            self.closes = closes
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard !answer.isEmpty else { return }
            let promise = closes ? context.eventLoop.makePromise(of: Void.self) : nil
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: answer)), promise: promise)
            let channel = context.channel
            promise?.futureResult.whenComplete { _ in channel.close(promise: nil) }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    private final class Echo: ChannelInboundHandler {
        typealias InboundIn = AddressedEnvelope<ByteBuffer>
        typealias OutboundOut = AddressedEnvelope<ByteBuffer>
        let echoes: Bool
        let arrivals: Counter

        init(_ echoes: Bool, _ arrivals: Counter) {
            self.echoes = echoes
            self.arrivals = arrivals
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            arrivals.add()
            if echoes { context.writeAndFlush(data, promise: nil) }
        }
    }
}

/// A port at which nobody listens, and at which nobody can begin to for as long as this lives: it is bound, but does
/// not accept connections; or talks to somebody else, which refuses datagrams of all others.
final class ClosedPort {
    private let descriptor: CInt
    private(set) var port: UInt16 = 0

    init(datagrams: Bool = false) {
        descriptor = socket(AF_INET, CInt(datagrams ? SOCK_DGRAM.rawValue : SOCK_STREAM.rawValue), 0)
        // A sockaddr_in: family in the order of the host, port, address.
        var address: [UInt8] = [UInt8(AF_INET), 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]
        var length = socklen_t(address.count)
        address.withUnsafeMutableBytes { bytes in
            guard let name = bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self) else { return }
            #expect(bind(descriptor, name, length) == 0)
            #expect(getsockname(descriptor, name, &length) == 0)
            port = UInt16(bytes[2]) << 8 | UInt16(bytes[3])
            bytes[7] = 99
            if datagrams { #expect(connect(descriptor, name, length) == 0) }
        }
    }

    deinit { close(descriptor) }
}

/// Counts on one thread and is waited for on another.
final class Counter: @unchecked Sendable {
    private let condition = NSCondition()
    private var count = 0

    func add() {
        condition.lock()
        count += 1
        condition.broadcast()
        condition.unlock()
    }

    /// False after a minute: the test fails then instead of hanging.
    func wait(for wanted: Int) -> Bool {
        let limit = Date(timeIntervalSinceNow: 60)
        condition.lock()
        defer { condition.unlock() }
        while count < wanted, condition.wait(until: limit) {}
        return count >= wanted
    }
}

/// A monitor whose changes are waited for.
final class WatchedMonitor {
    private let changes = Changes()
    let monitor: HealthMonitor

    init(sockets: Int = 64) {
        var limits = HealthLimits()
        limits.sockets = sockets
        let changes = changes
        monitor = HealthMonitor(limits: limits) { changes.add($0) }
    }

    /// The next change; nil after a minute without one.
    func next() -> HealthChange? { changes.next() }

    /// What to do on the monitor's thread when a change is told.
    func react(_ reaction: @escaping @Sendable (HealthChange) -> Void) { changes.set(reaction) }

    private final class Changes: @unchecked Sendable {
        private let condition = NSCondition()
        private var waiting: [HealthChange] = []
        private var reaction: (@Sendable (HealthChange) -> Void)?

        func set(_ reaction: @escaping @Sendable (HealthChange) -> Void) {
            condition.lock()
            self.reaction = reaction
            condition.unlock()
        }

        func add(_ change: HealthChange) {
            condition.lock()
            waiting.append(change)
            let reaction = reaction
            condition.signal()
            condition.unlock()
            reaction?(change)
        }

        func next() -> HealthChange? {
            let limit = Date(timeIntervalSinceNow: 60)
            condition.lock()
            defer { condition.unlock() }
            while waiting.isEmpty, condition.wait(until: limit) {}
            return waiting.isEmpty ? nil : waiting.removeFirst()
        }
    }
}

/// A certificate for weft.test, signed by itself, and its key.
enum HealthCertificate {
    static func serverContext() throws -> NIOSSLContext {
        let certificate = try NIOSSLCertificate(bytes: Array(certificate.utf8), format: .pem)
        let key = try NIOSSLPrivateKey(bytes: Array(key.utf8), format: .pem)
        return try NIOSSLContext(
            configuration: .makeServerConfiguration(
                certificateChain: [.certificate(certificate)], privateKey: .privateKey(key)))
    }

    private static let certificate = """
        -----BEGIN CERTIFICATE-----
        MIIBlTCCATugAwIBAgIUQ6sT4ksekUarsRqLVvizNrGI2NswCgYIKoZIzj0EAwIw
        FDESMBAGA1UEAwwJd2VmdC50ZXN0MCAXDTI2MTEyODA1MjIzOVoYDzIxMjYxMTA0
        MDUyMjM5WjAUMRIwEAYDVQQDDAl3ZWZ0LnRlc3QwWTATBgcqhkjOPQIBBggqhkjO
        PQMBBwNCAASsRIvKU0SSprqs04hS3QCBHuBXMJyacYdR7CdGpNHpzcTtR2ZPxqQr
        VvbIDari6KUfAWWxoKliBxG+pu4Ba8Qoo2kwZzAdBgNVHQ4EFgQU5HH38h01BIb+
        otGD+BdK9QPk09owHwYDVR0jBBgwFoAU5HH38h01BIb+otGD+BdK9QPk09owDwYD
        VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALggl3ZWZ0LnRlc3QwCgYIKoZIzj0EAwID
        SAAwRQIgfUZgB6eoglk9sItynVhyV3FiHrHGvDx/UIrczlvDb8oCIQCNdQ14QDaM
        EfCTknovlLrI2nC9707NSBRImobos8gMyA==
        -----END CERTIFICATE-----
        """
    private static let key = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgxJ8TGR9lNpFLNCku
        lP71XA77Ml7WllEezRF9JdCfREqhRANCAASsRIvKU0SSprqs04hS3QCBHuBXMJya
        cYdR7CdGpNHpzcTtR2ZPxqQrVvbIDari6KUfAWWxoKliBxG+pu4Ba8Qo
        -----END PRIVATE KEY-----
        """
}
