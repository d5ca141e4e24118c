import com.pixelmed.validate.DicomSRValidator;

/** Validates every file named in the arguments in one JVM: PixelMed takes seconds to start. */
public class ValidateReports {
	public static void main(String[] paths) throws Exception {
		DicomSRValidator validator = new DicomSRValidator();
		for (String path : paths) {
			System.out.println("FILE " + path);
			System.out.println(validator.validate(path));
		}
	}
}
