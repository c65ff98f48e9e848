import Classifier
import Flow

/// The rules of one OpenFlow table.
public final class FlowTable {
    public let number: UInt8

    public init(number: UInt8) { self.number = number }
}
