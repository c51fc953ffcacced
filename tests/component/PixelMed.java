import com.pixelmed.validate.DicomSRValidator;

/** PixelMed's validator on many files: its rules, six megabytes of XSLT, are read once for all. Before each answer stands a line "== FILE". */
public class PixelMed {
    public static void main(String[] files) throws Exception {
        DicomSRValidator validator = new DicomSRValidator();
        for (String file : files) {
            System.out.println("== " + file);
            System.out.println(validator.validate(file));
        }
    }
}
