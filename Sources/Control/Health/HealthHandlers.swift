import Base
import NIOCore

// What each kind of check does with its socket. Handlers hold no state but that of reading, and tell their probe once.

/// A connection that is established is the answer.
final class TCPHealthHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let probe: HealthProbe

    init(_ probe: HealthProbe) { self.probe = probe }

    func channelActive(context: ChannelHandlerContext) { probe.conclude(.success("connected")) }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { probe.failed(error) }
}

/// Any datagram is an answer, and the kernel's word of a port unreachable is one, too.
final class UDPHealthHandler: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    private let probe: HealthProbe

    init(_ probe: HealthProbe) { self.probe = probe }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        probe.conclude(.success("answered with \(unwrapInboundIn(data).data.readableBytes) bytes"))
    }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { probe.failed(error) }
}

/// A GET, and the status of the answer.
final class HTTPHealthHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let probe: HealthProbe
    private var reader = HTTPStatusReader()

    init(_ probe: HealthProbe) { self.probe = probe }

    func channelActive(context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: Self.request(probe.target))), promise: nil)
        context.fireChannelActive()
    }

    static func request(_ target: HealthTarget) -> String {
        let check = target.check
        let usual: UInt16 = check.kind == .https ? 443 : 80
        let port = target.checkedPort
        // RFC 9110, section 7.2: the port is left out where it is the usual one.
        let address =
            if port != usual {
                target.address.text(port: port)
            } else if case .ipv6 = target.address {
                "[\(target.address)]"
            } else {
                "\(target.address)"
            }
        return "GET \(check.path) HTTP/1.1\r\nHost: \(check.host ?? address)\r\nUser-Agent: weft-health-check\r\n"
            + "Accept: */*\r\nConnection: close\r\n\r\n"
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch reader.read(unwrapInboundIn(data).readableBytesView) {
        case nil: break
        case .malformed(let text)?: probe.conclude(.failure(text))
        case .status(let status)?:
            let isExpected = probe.target.check.statuses.contains { $0.contains(status) }
            probe.conclude(isExpected ? .success("status \(status)") : .failure("status \(status)"))
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        probe.conclude(.failure("connection closed before a status"))
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { probe.failed(error) }
}
