import java.util.Objects;
import java.util.concurrent.ExecutionException;

/** What is stated of Kafka, one line each: {@code ok <statement>} or {@code FAIL <statement>: why}. */
final class Statements {
    private static int held = 0;
    private static int failed = 0;

    interface Body {
        void run() throws Throwable;
    }

    private Statements() {}

    static void states(String statement, Body body) {
        try {
            body.run();
            held++;
            System.out.println("ok " + statement);
        } catch (Throwable why) {
            failed++;
            System.out.println("FAIL " + statement + ": " + text(why));
        }
    }

    static void expect(String what, Object expected, Object actual) {
        if (!Objects.equals(expected, actual)) {
            throw new AssertionError(what + ": expected " + expected + ", got " + actual);
        }
    }

    static void expect(String what, boolean holds) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    /** The refusal must be of exactly this class: clients decide by it what to do next. */
    static Throwable refused(Class<? extends Throwable> kind, Body body) throws Throwable {
        try {
            body.run();
        } catch (Throwable thrown) {
            Throwable cause = thrown instanceof ExecutionException ? thrown.getCause() : thrown;
            if (cause.getClass() == kind) {
                return cause;
            }
            throw new AssertionError("expected " + kind.getSimpleName() + ", got " + text(cause));
        }
        throw new AssertionError("expected " + kind.getSimpleName() + ", but it was accepted");
    }

    static int end() {
        System.out.println(held + " statements hold, " + failed + " do not");
        return failed == 0 ? 0 : 1;
    }

    private static String text(Throwable why) {
        Throwable cause = why instanceof ExecutionException ? why.getCause() : why;
        String message = String.valueOf(cause.getMessage()).replace('\n', ' ');
        return cause instanceof AssertionError ? message : cause.getClass().getSimpleName() + ": " + message;
    }
}
