// pgjdbc: autocommit and transactions, server-side prepare, batch, cursor, error. Usage: java -cp postgresql.jar Jdbc.java PORT
import java.sql.*;

class Jdbc {
    public static void main(String[] args) throws Exception {
        String url = "jdbc:postgresql://127.0.0.1:" + args[0] + "/postgres?sslmode=disable&prepareThreshold=2";
        try (Connection c = DriverManager.getConnection(url, "canary_user", "canary-password")) {
            try (PreparedStatement s = c.prepareStatement("SELECT name FROM shop WHERE id = ? AND name <> ?")) {
                for (int i = 0; i < 4; i++) {
                    s.setInt(1, i);
                    s.setString(2, "canary");
                    s.executeQuery().close();
                }
            }
            c.setAutoCommit(false);
            try (PreparedStatement s = c.prepareStatement("INSERT INTO shop (name, price) VALUES (?, ?)")) {
                for (int i = 0; i < 3; i++) {
                    s.setString(1, "canary" + i);
                    s.setInt(2, i);
                    s.addBatch();
                }
                s.executeBatch();
            }
            try (Statement s = c.createStatement()) {
                s.setFetchSize(50);
                ResultSet r = s.executeQuery("SELECT g, 'canary' FROM generate_series(1, 120) g");
                while (r.next()) { }
                r.close();
            }
            c.commit();
            try (Statement s = c.createStatement()) {
                s.execute("SELECT 1/0");
            } catch (SQLException e) {
                c.rollback();
            }
        }
    }
}
