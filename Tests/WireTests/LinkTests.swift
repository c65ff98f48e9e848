import FrameSupport
import Testing
import Wire

@Suite struct LinkTests {
    @Test func ethernetII() {
        check(
            EthernetHeader(destination: 0x0102_0304_0506, source: 0x1112_1314_1516, etherType: 0x0800),
            hex("010203040506 111213141516 0800"))
    }

    @Test func llcAndSNAP() {
        let vector = hex("aaaa03 000000 0800")
        check(
            SNAPHeader(
                destinationSAP: 0xaa, sourceSAP: 0xaa, control: 3, organizationHigh: 0, organizationLow: 0,
                etherType: 0x0800), vector)
        #expect(withView(vector) { SNAPView($0)?.carriesEtherType } == true)
        #expect(withView(hex("aaaa03 00000c 2000")) { SNAPView($0)?.carriesEtherType } == false)
        #expect(withView(hex("424203 000000 0000")) { SNAPView($0)?.carriesEtherType } == false)
    }

    @Test func vlan() {
        let vector = hex("88a8 b123")
        check(VLANTag(tpid: 0x88a8, tci: 0xb123), vector)
        withView(vector) { bytes in
            let view = VLANView(bytes)
            #expect(view?.priority == 5)
            #expect(view?.isDropEligible == true)
            #expect(view?.vlan == 0x123)
        }
    }

    @Test func mpls() {
        let vector = hex("12345 f 40")
        let entry = MPLSEntry(label: 0x12345, trafficClass: 7, isBottomOfStack: true, ttl: 0x40)
        check(entry, vector)
        withView(vector) { bytes in
            let view = MPLSView(bytes)
            #expect(view?.label == 0x12345)
            #expect(view?.trafficClass == 7)
            #expect(view?.isBottomOfStack == true)
            #expect(view?.ttl == 0x40)
        }
    }

    @Test func arp() {
        let vector = hex("0001 0800 06 04 0002 020000000001 0a000001 020000000002 0a000002")
        let packet = ARPPacket(
            hardwareType: 1, protocolType: 0x0800, hardwareLength: 6, protocolLength: 4, operation: 2,
            senderHardwareAddress: 0x0200_0000_0001, senderProtocolAddress: 0x0a00_0001,
            targetHardwareAddress: 0x0200_0000_0002, targetProtocolAddress: 0x0a00_0002)
        check(packet, vector)
        #expect(withView(vector) { ARPView($0)?.isIPv4OverEthernet } == true)
        #expect(withView([0, 6] + vector[2...]) { ARPView($0)?.isIPv4OverEthernet } == false)
    }
}
