import J2Ci.jDVInterface;
import java.io.File;
import javax.imageio.ImageIO;
import javax.swing.JFrame;
import main.MainContext;
import viewer.gui.MainImageViewerPanel;
import viewer.presentation.PresentationStateGraphicsHandler;

/** Has DICOMscope draw presentation states: configuration, side of its canvas, then presentation state, image, PNG of each. */
public class DrawPresentationStates {
  public static void main(String[] given) throws Exception {
    // Loads the native half.
    MainContext.instance();
    jDVInterface files = new jDVInterface(given[0]);
    MainContext.instance().initConfiguration(files);
    int side = Integer.parseInt(given[1]);
    JFrame frame = new JFrame();
    frame.setSize(side, side);
    MainImageViewerPanel panel =
        new MainImageViewerPanel(
            new PresentationStateGraphicsHandler(files),
            MainContext.instance().getConfiguration(),
            frame);
    panel.getImageCanvas().setSize(side, side);
    for (int i = 2; i + 2 < given.length; i += 3) {
      if (files.loadPState(given[i], given[i + 1]) != 0) {
        System.err.println("cannot load " + given[i]);
        System.exit(1);
      }
      panel.screenImageHandler.setNewPresentationState();
      ImageIO.write(
          panel.screenImageHandler.getBufferedScreenImage(), "png", new File(given[i + 2]));
    }
    System.exit(0);
  }
}
