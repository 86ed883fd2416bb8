using System.Text.Json;
using Tern.Text.Templates;

namespace Tern.Tests.Text.Templates;

/// <summary>The cases of llama.cpp's own Jinja tests, most of which were also run against Python's jinja2.</summary>
public sealed class TemplateSuiteTests
{
    [SharedFact]
    public void Every_case_of_the_suite_renders_exactly()
    {
        using JsonDocument suite = JsonDocument.Parse(File.ReadAllBytes(SharedData.File("suites", "jinja.json")));
        var failures = new List<string>();
        int count = 0;
        foreach (JsonElement test in suite.RootElement.GetProperty("cases").EnumerateArray())
        {
            count++;
            string expected = test.GetProperty("expect").GetString()!;
            string actual;
            try
            {
                actual = Rendering.Of(test.GetProperty("template").GetString()!, test.GetProperty("vars"));
            }
            catch (TernException e)
            {
                actual = e.Message;
            }

            if (actual != expected)
                failures.Add($"{test.GetProperty("name").GetString()}: expected «{expected}», got «{actual}»");
        }

        Assert.True(failures.Count == 0, string.Join('\n', failures));
        Assert.Equal(suite.RootElement.GetProperty("count").GetInt32(), count);
    }
}

/// <summary>Renders as the product does, from JSON variables.</summary>
internal static class Rendering
{
    private static readonly DateTimeOffset s_now = new(2026, 3, 7, 9, 5, 3, TimeSpan.Zero);

    public static string Of(string source, JsonElement variables, TemplateBudget? budget = null) =>
        Template.Parse(source, budget).Render(
            variables.EnumerateObject().Select(p => KeyValuePair.Create(p.Name, TemplateJson.Read(p.Value))), s_now);

    public static string Of(string source, string variables = "{}", TemplateBudget? budget = null)
    {
        using JsonDocument document = JsonDocument.Parse(variables);
        return Of(source, document.RootElement, budget);
    }

    /// <summary>The message of the error that the template ends with; any other exception fails the test.</summary>
    public static string Error(string source, string variables = "{}", TemplateBudget? budget = null)
    {
        var e = Assert.Throws<TernException>(() => Of(source, variables, budget));
        Assert.Equal(ErrorKind.Template, e.Kind);
        Assert.StartsWith("template line ", e.Message, StringComparison.Ordinal);
        return e.Message;
    }
}
