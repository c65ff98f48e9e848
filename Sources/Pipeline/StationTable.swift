import Base

/// The MAC learning table (FDB) of one bridge.
public final class StationTable: @unchecked Sendable {
    public init() {}
}
