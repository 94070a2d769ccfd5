package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.DatagramSocket;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.BooleanSupplier;
import java.util.logging.Level;
import java.util.logging.Logger;
import java.util.regex.Pattern;
import org.awaitility.Awaitility;
import org.awaitility.core.ConditionTimeoutException;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.openqa.selenium.By;
import org.openqa.selenium.Keys;
import org.openqa.selenium.StaleElementReferenceException;
import org.openqa.selenium.WebElement;
import org.openqa.selenium.chrome.ChromeDriver;
import org.openqa.selenium.chrome.ChromeDriverService;
import org.openqa.selenium.chrome.ChromeOptions;
import org.openqa.selenium.logging.LogEntry;
import org.openqa.selenium.logging.LogType;
import org.openqa.selenium.logging.LoggingPreferences;
import org.splitring.driverdomain.LabUnderTest.Ended;
import org.splitring.testkit.ExternalTools;

/// The web page of a lab of 101 domains in a browser without a screen, used by clicking and typing.
@Timeout(180)
class WebPageIT {
    private static final int DOMAINS = 101;
    private static final long PID = ProcessHandle.current().pid();
    private static final String WEB = "web" + PID;
    private static final String FAR = "far" + PID;
    private static final String TAP = "wp" + PID;

    /// Of a link, to the right and to the left, and of a port in a table, in and out.
    private static final String RATES = "→ [0-9.]+ [kM]bit/s ← [0-9.]+ [kM]bit/s";

    private static final Pattern RATE = Pattern.compile("([0-9.]+) ?([kM]?)bit/s");

    private static final String BOTH =
            "[0-9.]+ [kM]bit/s [0-9.]+ [kM]bit/s [0-9.]+ ?/s [0-9.]+ ?/s.*";

    @TempDir private static Path dir;
    private static LabUnderTest lab;
    private static String page;

    /// Which would warn of every browser that is younger than itself.
    private static final Logger VERSIONS = Logger.getLogger("org.openqa.selenium.devtools");

    private ChromeDriver browser;

    @BeforeAll
    static void up() throws Exception {
        ExternalTools.require("chromium", "chromium");
        ExternalTools.require("chromedriver", "chromium-driver");
        LabUnderTest.requireNetworks();
        StringBuilder text = new StringBuilder();
        List<Integer> udp = freeUdpPorts();
        // From the one guest to the other by a port of each kind.
        text.append(
                """
                [domains.%s]
                disk = ["memory:16MiB,raw,xvda,rw"]
                vif = ["bridge=lan, ip=10.94.4.2"]

                [networks.lan]
                subnet = "10.94.4.0/24"
                ports = [
                  "tap, name=%s, ip=10.94.4.254/24",
                  "network, name=backbone",
                ]

                [domains.%s]
                vif = ["bridge=other"]

                [networks.backbone]
                ports = "stream, listen=./web.sock, vifname=listen"

                [networks.west]
                ports = [
                  "stream, connect=./web.sock, vifname=connect",
                  "dgram, local=./west.sock, peer=./east.sock, vifname=dgram",
                ]

                [networks.east]
                ports = [
                  "dgram, local=./east.sock, peer=./west.sock, vifname=dgram",
                  "vxlan, vni=7, local=127.0.0.1:%4$d, peers=127.0.0.1:%5$d, vifname=vxlan",
                ]

                [networks.other]
                antispoof = "mac"
                ports = "vxlan, vni=7, local=127.0.0.1:%5$d, peers=127.0.0.1:%4$d, vifname=vxlan"
                """
                        .formatted(WEB, TAP, FAR, udp.getFirst(), udp.getLast()));
        for (int i = 1; i < DOMAINS - 1; i++) {
            text.append("[domains.d%d]\nguest = \"external\"\n".formatted(i));
            text.append("disk = [\"memory:1MiB,raw,xvda,rw\"]\n");
        }
        lab = new LabUnderTest(dir);
        Files.writeString(lab.lab(), text);
        int port;
        try (ServerSocket probe = new ServerSocket(0)) {
            port = probe.getLocalPort();
        }
        Ended up =
                lab.splitring(
                        "up",
                        lab.lab() + "",
                        "--run-dir",
                        lab.run() + "",
                        "--detach",
                        "--http=" + port);
        assertEquals(0, up.code(), up.output());
        page =
                up.output()
                        .lines()
                        .filter(line -> line.startsWith("see and steer it: "))
                        .map(line -> line.substring(line.indexOf("http")))
                        .findFirst()
                        .orElseThrow();
    }

    private static List<Integer> freeUdpPorts() throws IOException {
        try (DatagramSocket one = new DatagramSocket();
                DatagramSocket other = new DatagramSocket()) {
            return List.of(one.getLocalPort(), other.getLocalPort());
        }
    }

    @AfterAll
    static void down() throws Exception {
        if (lab != null) {
            lab.cleanUp();
        }
    }

    @BeforeEach
    void openBrowser() {
        VERSIONS.setLevel(Level.OFF);
        LoggingPreferences everything = new LoggingPreferences();
        everything.enable(LogType.BROWSER, Level.ALL);
        ChromeOptions options = new ChromeOptions();
        options.setBinary(ExternalTools.require("chromium", "chromium").toString());
        options.addArguments(
                "--headless=new",
                "--no-sandbox", // which root cannot have
                "--disable-gpu",
                "--window-size=1300,1100",
                "--user-data-dir=" + dir.resolve("profile"));
        options.setCapability("goog:loggingPrefs", everything);
        ChromeDriverService service =
                new ChromeDriverService.Builder()
                        .usingDriverExecutable(
                                ExternalTools.require("chromedriver", "chromium-driver").toFile())
                        .build();
        browser = new ChromeDriver(service, options);
    }

    @AfterEach
    void closeBrowser() {
        if (browser != null) {
            browser.quit();
        }
    }

    private void await(String what, BooleanSupplier condition) {
        try {
            Awaitility.await(what)
                    .atMost(Duration.ofSeconds(30))
                    .ignoreException(StaleElementReferenceException.class)
                    .until(condition::getAsBoolean);
        } catch (ConditionTimeoutException e) {
            throw new AssertionError(what + " is not to be seen in: " + text(), e);
        }
    }

    /// How often the page has asked for something.
    private long looks() {
        Object looks =
                browser.executeScript("return performance.getEntriesByType('resource').length");
        return ((Number) Objects.requireNonNull(looks)).longValue();
    }

    private String text() {
        return browser.findElement(By.tagName("body")).getText();
    }

    private WebElement id(String id) {
        return browser.findElement(By.id(id));
    }

    private WebElement row(String domain) {
        return browser.findElement(By.cssSelector("tr[data-domain='" + domain + "']"));
    }

    private String state(String domain) {
        return row(domain).findElements(By.tagName("td")).get(1).getText();
    }

    private void button(String label) {
        browser.findElement(By.cssSelector("button[aria-label='" + label + "']")).click();
    }

    private void open() {
        browser.get(page);
        await(
                "all domains",
                () -> browser.findElements(By.cssSelector("#domains tbody tr")).size() == DOMAINS);
    }

    private void assertQuiet() {
        List<String> complaints =
                browser.manage().logs().get(LogType.BROWSER).getAll().stream()
                        .map(LogEntry::toString)
                        .toList();
        assertEquals(List.of(), complaints);
    }

    @Test
    void aHundredDomainsAreShownAndStayedWith() {
        open();
        assertEquals(
                DOMAINS,
                browser.findElements(By.cssSelector("#topology .node[data-key^=domain]")).size());
        // To two vifs, to this machine's interface, between two networks, and to six sockets.
        assertEquals(10, browser.findElements(By.cssSelector("#topology .cable")).size());
        assertEquals("running", state(WEB));
        assertEquals("nobody attached", state("d1"));
        assertTrue(id("lab").getText().contains(lab.lab().toString()));
        assertFalse(browser.getCurrentUrl().contains("#"), "the token stays in the address");

        id("filter").sendKeys("d99");
        assertTrue(row("d99").isDisplayed());
        assertFalse(row(WEB).isDisplayed());

        // What was read and written since is shown by the next look but one.
        long looks = looks();
        await("more looks", () -> looks() > looks + 6);
        assertQuiet();
    }

    @Test
    void aGuestIsStoppedStartedLimitedAndItsConsoleUsed() throws Exception {
        open();
        button("Stop " + WEB);
        await("stopped", () -> state(WEB).equals("stopped"));
        await("said", () -> id("news").getText().contains("guest process"));
        button("Start " + WEB);
        await("running", () -> state(WEB).equals("running"));

        row(WEB).findElement(By.cssSelector("th button")).click();
        await("chosen", () -> id("detail-title").getText().equals("Domain " + WEB));
        lab.io(lab.uri(WEB, "xvda"), "write -P 5 0 4M", "read -P 5 0 4M");
        await("latency", () -> id("detail-body").getText().contains("99 % below"));
        assertTrue(id("detail-body").getText().contains("of 128 slots in use"));
        WebElement bps =
                browser.findElement(
                        By.cssSelector("input[aria-label='bytes per second of vbd/xvda']"));
        bps.sendKeys("3MiB", Keys.ENTER);
        await(
                "limited",
                () ->
                        id("status")
                                .getText()
                                .equals("xvda of " + WEB + " is limited now; weight 100"));
        assertTrue(lab.command(0, "block-list", "--json").contains("\"rate\" : \"3145728,0,100\""));
        bps.clear();
        bps.sendKeys("plenty", Keys.ENTER);
        await("refused", () -> id("status").getText().contains("\"plenty\" is no size"));
        WebElement rate = browser.findElement(By.cssSelector("input[aria-label='rate of vif/0']"));
        rate.sendKeys("100Mb/s", Keys.ENTER);
        await(
                "vif limited",
                () ->
                        id("status")
                                .getText()
                                .contains("vif/0 of " + WEB + " is limited to 100Mb/s"));

        button("Console of " + WEB);
        await("prompt", () -> id("console-output").getText().contains("#"));
        id("console-line").sendKeys("help", Keys.ENTER);
        await("help", () -> id("console-output").getText().contains("this list"));
        id("console-close").click();
        await("closed", () -> !id("console").isDisplayed());

        // A refusal is said on the page; the browser notes it too, and nothing else.
        List<String> noted =
                browser.manage().logs().get(LogType.BROWSER).getAll().stream()
                        .map(LogEntry::getMessage)
                        .filter(
                                message ->
                                        !message.contains(
                                                "disks/xvda - Failed to load resource: the server responded with a status of 409"))
                        .toList();
        assertEquals(List.of(), noted);
    }

    /// What a link shows. The port of a peer of a listening one has a number behind its name.
    private String link(String key) {
        return browser.findElement(By.cssSelector("[data-link^='" + key + "']")).getText();
    }

    /// 1042 bytes, 100 times a second, in both directions; less on a busy machine.
    private static Process ping(String address) throws IOException {
        List<String> line =
                LabUnderTest.line(WEB, "ping", "-q", "-i", "0.01", "-s", "1000", address);
        return new ProcessBuilder(line)
                .redirectErrorStream(true)
                .redirectOutput(dir.resolve("ping.out").toFile())
                .start();
    }

    @Test
    void theRateOfEveryLinkIsShownWhileTrafficFlows() throws Exception {
        open();
        WebElement out = browser.findElement(By.cssSelector("[data-key='port lan/" + TAP + "']"));
        assertEquals("port lan/" + TAP + ": tap " + TAP, out.getDomAttribute("aria-label"));
        Process ping = ping("10.94.4.254");
        try {
            await("rate of the vif", () -> link(WEB + "/vif/0").matches(RATES));
            await("rate of the uplink", () -> link("lan/" + TAP).matches(RATES));
            row(WEB).findElement(By.cssSelector("th button")).click();
            await("rings", () -> id("detail-body").getText().contains("buffers free"));
            browser.findElement(By.cssSelector("[data-device='vif/0'] details summary"))
                    .sendKeys(Keys.ENTER);
            await("indices", () -> id("detail-body").getText().contains("queue-0 tx"));
            out.sendKeys(Keys.ENTER);
            await("network", () -> id("detail-title").getText().equals("Network lan"));
            assertTrue(id("detail-body").getText().contains("tap " + TAP));
        } finally {
            ping.destroy();
            ping.waitFor();
        }
        await("silence", () -> link("lan/" + TAP).isEmpty());
        assertEquals(1, browser.findElements(By.cssSelector("[data-link='backbone/lan']")).size());
        assertQuiet();
    }

    @Test
    void portsOfEveryKindShowWhatPassesThem() throws Exception {
        List<String> ports =
                List.of(
                        "backbone/lan",
                        "backbone/listen",
                        "west/connect",
                        "west/dgram",
                        "east/dgram",
                        "east/vxlan",
                        "other/vxlan");
        open();
        // Not in the lab file: two networks of a lab have no subnet in common.
        Ended far = lab.inside(FAR, "ip", "addr", "replace", "10.94.4.3/24", "dev", "eth0");
        assertEquals(0, far.code(), far.output());
        Process ping = ping("10.94.4.3");
        try {
            for (String port : ports) {
                await("rate of " + port, () -> link(port).matches(RATES));
            }
            browser.findElement(By.cssSelector("[data-key='port east/vxlan']"))
                    .sendKeys(Keys.ENTER);
            await("network", () -> id("detail-title").getText().equals("Network east"));
            await("row of VXLAN", () -> portRow("vxlan").matches("vxlan vxlan 7 to 127.* " + BOTH));
            await("row of dgram", () -> portRow("dgram").matches("dgram dgram .*sock " + BOTH));
        } finally {
            ping.destroy();
            ping.waitFor();
        }
        for (String port : ports) {
            await("silence at " + port, () -> link(port).isEmpty());
        }
        assertQuiet();
    }

    /// Datagrams of 1000 bytes that nobody hears; the kernel says so once a second.
    private static Process talk(String address) throws IOException {
        String loop = "while sleep 0.01; do printf %01000d 0 >/dev/udp/" + address + "/9; done";
        return new ProcessBuilder(LabUnderTest.line(WEB, "bash", "-c", loop))
                .redirectErrorStream(true)
                .redirectOutput(dir.resolve("talk.out").toFile())
                .start();
    }

    /// How many times as much the first of two rates is.
    private static double ratio(String text) {
        double[] rates =
                RATE.matcher(text)
                        .results()
                        .limit(2)
                        .mapToDouble(
                                rate ->
                                        Double.parseDouble(rate.group(1))
                                                * (rate.group(2).equals("k") ? 1e3 : 1)
                                                * (rate.group(2).equals("M") ? 1e6 : 1))
                        .toArray();
        return rates.length < 2 || rates[0] + rates[1] == 0 ? 1 : rates[0] / rates[1];
    }

    @Test
    void whatGoesOneWayIsShownAtTheArrowOfThatWay() throws Exception {
        open();
        Ended far = lab.inside(FAR, "ip", "addr", "replace", "10.94.4.3/24", "dev", "eth0");
        assertEquals(0, far.code(), far.output());
        Process talk = talk("10.94.4.3");
        try {
            await("out of the guest", () -> ratio(link(WEB + "/vif/0")) > 4);
            await("into the other", () -> ratio(link(FAR + "/vif/0")) < 0.25);
            await("out of a network", () -> ratio(link("west/dgram")) > 4);
            await("into the next", () -> ratio(link("east/dgram")) < 0.25);
            browser.findElement(By.cssSelector("[data-key='port east/vxlan']"))
                    .sendKeys(Keys.ENTER);
            await("network", () -> id("detail-title").getText().equals("Network east"));
            await("in at the one", () -> ratio(portRow("dgram")) > 4);
            await("out at the other", () -> ratio(portRow("vxlan")) < 0.25);
        } finally {
            talk.destroy();
            talk.waitFor();
        }
        assertQuiet();
    }

    /// What the table of the chosen network says of a port.
    private String portRow(String port) {
        return browser.findElements(By.cssSelector("#detail-body tbody tr")).stream()
                .map(WebElement::getText)
                .filter(text -> text.startsWith(port + " "))
                .findFirst()
                .orElse("");
    }

    @Test
    void theKeyboardIsEnough() {
        open();
        WebElement body = browser.findElement(By.tagName("body"));
        body.sendKeys(Keys.TAB); // reload
        browser.switchTo().activeElement().sendKeys(Keys.TAB); // the first domain
        assertEquals(
                "domain " + WEB, browser.switchTo().activeElement().getDomAttribute("data-key"));
        browser.switchTo().activeElement().sendKeys(Keys.ENTER);
        await("chosen", () -> id("detail-title").getText().equals("Domain " + WEB));
        // Looking again does not take the focus away.
        browser.executeScript("window.seen = document.activeElement");
        long looks = looks();
        await("more looks", () -> looks() > looks + 4);
        assertEquals(true, browser.executeScript("return window.seen === document.activeElement"));
        WebElement network = browser.findElement(By.cssSelector("[data-key='network lan']"));
        network.sendKeys(" ");
        await("network", () -> id("detail-title").getText().equals("Network lan"));
        assertTrue(id("detail-body").getText().contains(WEB + ".0"));
        assertQuiet();
    }

    @Test
    void itIsDarkWhereTheUserWantsThatAndAsksForATokenThatIsMissing() {
        browser.get(page.substring(0, page.indexOf('#')));
        await("asked", () -> id("token-asked").isDisplayed());
        String script = "return getComputedStyle(document.body).backgroundColor";
        Object light = browser.executeScript(script);
        browser.executeCdpCommand(
                "Emulation.setEmulatedMedia",
                Map.of(
                        "features",
                        List.of(Map.of("name", "prefers-color-scheme", "value", "dark"))));
        assertNotEquals(light, browser.executeScript(script));

        id("token").sendKeys(page.substring(page.indexOf('#') + 1), Keys.ENTER);
        await(
                "domains",
                () -> browser.findElements(By.cssSelector("#domains tbody tr")).size() == DOMAINS);
        await("no question", () -> !id("token-asked").isDisplayed());
    }
}
