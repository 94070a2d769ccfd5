package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.xpath.XPathConstants;
import javax.xml.xpath.XPathFactory;
import org.junit.jupiter.api.Test;
import org.w3c.dom.Document;
import org.w3c.dom.NodeList;

/// The BOM has every module that is published, in the version of all.
class BomTest {
    private static final Path TOP = Path.of("").toAbsolutePath().resolveSibling("");

    private static Document pom(String file) throws Exception {
        return DocumentBuilderFactory.newInstance()
                .newDocumentBuilder()
                .parse(TOP.resolve(file).toFile());
    }

    private static Set<String> texts(Document pom, String path) throws Exception {
        NodeList nodes =
                (NodeList)
                        XPathFactory.newInstance()
                                .newXPath()
                                .evaluate(path, pom, XPathConstants.NODESET);
        Set<String> texts = new TreeSet<>();
        for (int i = 0; i < nodes.getLength(); i++) {
            texts.add(nodes.item(i).getTextContent().strip());
        }
        return texts;
    }

    @Test
    void itListsEveryModuleInTheVersionOfAll() throws Exception {
        Document all = pom("pom.xml");
        Document bom = pom("bom/pom.xml");
        Set<String> published = new TreeSet<>();
        for (String module : texts(all, "/project/modules/module")) {
            if (!module.equals("bom")) {
                published.addAll(texts(pom(module + "/pom.xml"), "/project/artifactId"));
            }
        }
        String managed = "/project/dependencyManagement/dependencies/dependency/";
        assertEquals(published, texts(bom, managed + "artifactId"));
        assertEquals(texts(all, "/project/groupId"), texts(bom, managed + "groupId"));
        assertEquals(Set.of("${project.version}"), texts(bom, managed + "version"));
        assertEquals(texts(all, "/project/version"), texts(bom, "/project/version"));
    }
}
